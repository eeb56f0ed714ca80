// SPDX-License-Identifier: GPL-2.0

//! Memory allocation from any context.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use crate::{
    alloc::{
        flags::*,
        AllocError,
        Allocator,
        Box,
        Flags,
        NumaNode, //
    },
    bindings,
};

use core::{
    alloc::Layout,
    ptr::NonNull, //
};

use super::ARCH_KMALLOC_MINALIGN;

/// The allocator of `kmalloc_nolock()`, which takes no lock that it would have to wait for.
///
/// Allocates and frees in any context, NMI included. An allocation never waits, so it fails much
/// more often than one of [`Kmalloc`](super::Kmalloc). It is limited to the sizes of the slab
/// caches (up to `KMALLOC_MAX_CACHE_SIZE` bytes) and to their alignment. It cannot grow.
///
/// The flags may be [`__GFP_ZERO`] and [`__GFP_NOWARN`]. An allocation with any other flag fails.
/// Some architectures cannot serve it at all.
///
/// # Examples
///
/// ```
/// use kernel::alloc::allocator::KmallocNolock;
/// use kernel::alloc::{flags::*, Box};
///
/// // Whoever uses this must be able to do without.
/// if let Ok(b) = Box::<u64, KmallocNolock>::new(24, __GFP_ZERO) {
///     assert_eq!(*b, 24);
/// }
///
/// // It cannot wait for memory.
/// assert!(Box::<u64, KmallocNolock>::new(24, GFP_KERNEL).is_err());
/// ```
pub struct KmallocNolock;

/// A [`Box`] of memory from [`KmallocNolock`], which may be dropped in any context if its content
/// may be.
pub type NolockBox<T> = Box<T, KmallocNolock>;

impl KmallocNolock {
    fn alloc_new(layout: Layout, flags: Flags, nid: NumaNode) -> Result<NonNull<u8>, AllocError> {
        let known = (__GFP_ZERO | __GFP_NOWARN).as_raw();
        if flags.as_raw() & !known != 0 || layout.align() > Self::MIN_ALIGN {
            return Err(AllocError);
        }
        // SAFETY: `kmalloc_nolock()` may be called in any context, and the flags are among those
        // that it knows.
        let ptr = unsafe { bindings::kmalloc_nolock(layout.size(), flags.as_raw(), nid.0) };

        NonNull::new(ptr.cast()).ok_or(AllocError)
    }
}

// SAFETY: Memory of `kmalloc_nolock()` stays valid until it is passed to `kfree_nolock()`, which
// only `realloc()` to size zero does, and any such memory may be passed there. All of it
// has the alignment of `kmalloc()`. It is never moved, and keeps its content when it shrinks.
unsafe impl Allocator for KmallocNolock {
    const MIN_ALIGN: usize = ARCH_KMALLOC_MINALIGN;

    unsafe fn realloc(
        ptr: Option<NonNull<u8>>,
        layout: Layout,
        old_layout: Layout,
        flags: Flags,
        nid: NumaNode,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let old = ptr.filter(|_| old_layout.size() != 0);
        let new = match (old, layout.size()) {
            (old, 0) => {
                if let Some(old) = old {
                    // SAFETY: By the safety requirements, `old` is memory of this allocator that
                    // nobody uses any more.
                    unsafe { bindings::kfree_nolock(old.as_ptr().cast()) };
                }
                crate::alloc::dangling_from_layout(layout)
            }
            (Some(old), size)
                if size <= old_layout.size() && layout.align() <= old_layout.align() =>
            {
                old
            }
            (Some(_), _) => return Err(AllocError),
            (None, _) => Self::alloc_new(layout, flags, nid)?,
        };

        Ok(NonNull::slice_from_raw_parts(new, layout.size()))
    }
}
