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
    container_of,
    ffi::c_void,
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
/// What a reference points at is a map that C has made, that is not offloaded to a device, and that
/// is not freed while the reference lasts.
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
        // SAFETY: The map is valid by the type invariants. C changes the field once, to zero.
        let id = unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).id) };

        // Relaxed: only shown.
        id.load(Relaxed)
    }

    /// Returns whether user space refers to the map, by an open file or a pin in bpffs.
    ///
    /// Once this is `false`, `map_release_uref` of the map was called or is about to be. Gives no
    /// memory ordering. Not in NMI with `CONFIG_GENERIC_ATOMIC64`, where the count is under a lock.
    #[inline]
    pub fn has_user_refs(&self) -> bool {
        // SAFETY: The map is valid by the type invariants, and C accesses `usercnt` with atomic
        // operations.
        let usercnt = unsafe { Atomic::from_ptr(&raw mut (*self.as_ptr()).usercnt.counter) };

        usercnt.load(Relaxed) != 0
    }

    /// Returns the key of the element that has `value`: for arrays the index, which is stored in
    /// `index` and is where the result points, and for all other kinds of maps what stands before
    /// the value.
    ///
    /// The result is of no use unless `value` is the value of an element of this map, which is not
    /// a per-CPU one.
    #[inline]
    pub fn key_of_value(&self, value: *mut c_void, index: &mut u32) -> *mut c_void {
        let map = self.as_ptr();

        // SAFETY: Both fields are constant while the map lives.
        let (kind, key_size) = unsafe { ((*map).map_type, (*map).key_size as usize) };
        if kind != bindings::bpf_map_type_BPF_MAP_TYPE_ARRAY {
            return value.wrapping_byte_sub(key_size.next_multiple_of(8));
        }
        // SAFETY: A map of this kind is embedded in a `struct bpf_array`, unless it is offloaded.
        let array = unsafe { container_of!(map, bindings::bpf_array, map) };
        // SAFETY: The values follow the array's header; this only computes their address.
        let first = unsafe { (&raw const (*array).__bindgen_anon_1) as usize };
        // SAFETY: The field is constant while the map lives.
        let elem_size = unsafe { (*array).elem_size as usize };
        let offset = (value as usize).wrapping_sub(first);

        // No element is of size zero; saying what would be then spares the code of a panic.
        *index = offset.checked_div(elem_size).unwrap_or(0) as u32;
        core::ptr::from_mut(index).cast()
    }

    /// Returns whether the map is a hash of a fixed size, be it with LRU eviction.
    #[inline]
    pub fn is_hash(&self) -> bool {
        // SAFETY: The field is constant while the map lives.
        let kind = unsafe { (*self.as_ptr()).map_type };

        kind == bindings::bpf_map_type_BPF_MAP_TYPE_HASH
            || kind == bindings::bpf_map_type_BPF_MAP_TYPE_LRU_HASH
    }

    /// Returns whether the map is a resizable hash.
    #[inline]
    pub fn is_resizable_hash(&self) -> bool {
        // SAFETY: The field is constant while the map lives.
        unsafe { (*self.as_ptr()).map_type == bindings::bpf_map_type_BPF_MAP_TYPE_RHASH }
    }

    /// Returns whether the map finds the element that has `value`, by the key that stands with it.
    ///
    /// Callable in any context. Gives no memory ordering.
    ///
    /// # Safety
    ///
    /// - This must be a hash, resizable or not.
    /// - `value` must be the value of an element of this map, which is not a per-CPU one.
    /// - The caller must be in a read-side section of RCU or RCU Tasks Trace in which the element,
    ///   if it is not in the map any more, is not freed.
    pub unsafe fn finds(&self, value: *mut c_void) -> bool {
        let map = self.as_ptr();
        let key = self.key_of_value(value, &mut 0);
        // SAFETY: The operations of a map are constant. What does not count as a use of the
        // element, where that makes a difference, goes first.
        let lookup = unsafe {
            let ops = (*map).ops;
            (*ops).map_lookup_elem_sys_only.or((*ops).map_lookup_elem)
        };

        // SAFETY: Hashes are looked up in without a lock, in any context. The key is memory of an
        // element that is not freed, by the safety requirements. The map may give it to another key
        // meanwhile, as it may that of an element that a lookup is just comparing with.
        lookup.is_some_and(|lookup| unsafe { lookup(map, key) } == value)
    }

    /// Allocates memory that is charged to the memory cgroup that the map is charged to. Callable
    /// in any context, and fails rather than wait. For built-in code only.
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
