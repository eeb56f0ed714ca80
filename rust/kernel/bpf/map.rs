// SPDX-License-Identifier: GPL-2.0

//! BPF maps.
//!
//! C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)

use crate::{
    alloc::{
        allocator::{
            KmallocNolock,
            NolockBox, //
        },
        AllocError,
        Allocator, //
    },
    bindings,
    error::from_err_ptr,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
    types::Opaque, //
};

use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};

/// A BPF map.
///
/// Wraps the kernel's C `struct bpf_map`.
///
/// # Invariants
///
/// A reference points at a map that C has made and that is not offloaded to a device. The map is
/// not freed while the reference lasts.
#[repr(transparent)]
pub struct Map(Opaque<bindings::bpf_map>);

// SAFETY: Maps are shared by all CPUs; what is accessed here is atomic or constant.
unsafe impl Send for Map {}
// SAFETY: As above.
unsafe impl Sync for Map {}

impl Map {
    /// Creates a reference to a C map.
    ///
    /// # Safety
    ///
    /// `map` must be valid for `'a`, and not be offloaded to a device.
    #[inline]
    pub unsafe fn from_raw<'a>(map: *mut bindings::bpf_map) -> &'a Self {
        // INVARIANT: By the safety requirement.
        // CAST: `Map` is transparent over an `Opaque<bpf_map>`.
        // SAFETY: As above.
        unsafe { &*map.cast::<Self>() }
    }

    /// Returns the C map.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::bpf_map {
        self.0.get()
    }

    /// Returns the number that user space knows the map by; zero once it has lost it.
    #[inline]
    pub fn id(&self) -> u32 {
        // SAFETY: The map is valid by the type invariants. C stores to the field plainly, and an
        // aligned store of a word is taken for atomic.
        let id = unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).id) };

        // Relaxed: only shown.
        id.load(Relaxed)
    }

    /// Returns whether user space refers to the map, by an open file or a pin in bpffs.
    ///
    /// Once this is `false`, `map_release_uref` of the map was called or is about to be. Gives no
    /// memory ordering. With `CONFIG_GENERIC_ATOMIC64` the count is under a lock, so this must not
    /// be called in NMI.
    #[inline]
    pub fn has_user_refs(&self) -> bool {
        // SAFETY: The map is valid by the type invariants, and C accesses `usercnt` with atomic
        // operations.
        let usercnt = unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).usercnt.counter) };

        // Relaxed: orders nothing, as documented. A caller that needs an order has a barrier
        // before this. For the others, the last user may as well go after the load.
        usercnt.load(Relaxed) != 0
    }

    /// Returns how many bytes after the beginning of a value its `struct bpf_timer` is, if the
    /// values of the map have one.
    #[inline]
    pub fn timer_offset(&self) -> Option<usize> {
        // SAFETY: The record is constant while the map lives.
        let record = from_err_ptr(unsafe { (*self.as_ptr()).record }).ok()?;

        if record.is_null() {
            return None;
        }
        // SAFETY: As above.
        usize::try_from(unsafe { (*record).timer_off }).ok()
    }

    /// Returns whether the map is a resizable hash.
    #[inline]
    pub fn is_resizable_hash(&self) -> bool {
        // SAFETY: The field is constant while the map lives.
        unsafe { (*self.as_ptr()).map_type == bindings::bpf_map_type_BPF_MAP_TYPE_RHASH }
    }

    /// Allocates memory that is charged to the memory cgroup that the map is charged to. Callable
    /// in any context, and fails rather than wait. Fails if a `T` is larger than
    /// `KMALLOC_MAX_CACHE_SIZE`. For built-in code only.
    #[inline]
    pub fn alloc_nolock<T>(&self) -> Result<NolockBox<MaybeUninit<T>>, AllocError> {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= KmallocNolock::MIN_ALIGN) };

        // SAFETY: A valid map is passed, and the function may be called in any context.
        let ptr = unsafe {
            let map = self.as_ptr();
            bindings::bpf_map_kmalloc_nolock(map, size_of::<T>(), 0, (*map).numa_node)
        };
        let ptr = NonNull::new(ptr.cast::<MaybeUninit<T>>()).ok_or(AllocError)?;

        // SAFETY: Memory for a `T` from `kmalloc_nolock()`, as `KmallocNolock` has it.
        Ok(unsafe { NolockBox::from_raw(ptr.as_ptr()) })
    }
}
