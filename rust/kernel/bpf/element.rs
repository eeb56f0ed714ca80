// SPDX-License-Identifier: GPL-2.0

//! Elements of maps.

use super::Map;
use crate::{
    bindings,
    container_of,
    ffi::c_void, //
};

use core::ptr::NonNull;

/// An element of a map, as programs know it: by its value.
///
/// It need not be in the map any more. Its memory may even be that of another element by now, but
/// always of one of this map.
///
/// # Invariants
///
/// `map` is not a per-CPU map, and `value` is the value of one of its elements. `'a` lies within a
/// read-side section of RCU or RCU Tasks Trace before whose end the element is not freed.
#[derive(Copy, Clone)]
pub struct Element<'a> {
    map: &'a Map,
    value: NonNull<c_void>,
}

impl<'a> Element<'a> {
    /// Creates the element of `map` with a value.
    ///
    /// # Safety
    ///
    /// `map` must not be a per-CPU map, and `value` must be the value of one of its elements. `'a`
    /// must lie within a read-side section of RCU or RCU Tasks Trace before whose end the element
    /// is not freed.
    #[inline]
    pub unsafe fn from_value(map: &'a Map, value: NonNull<c_void>) -> Self {
        // INVARIANT: By the safety requirement.
        Self { map, value }
    }

    /// Creates the element of `map` whose value has a `struct bpf_timer`.
    ///
    /// # Safety
    ///
    /// The requirements of [`Self::from_value`] hold for the value that has `timer`.
    #[inline]
    pub unsafe fn from_timer(map: &'a Map, timer: NonNull<bindings::bpf_timer>) -> Self {
        // SAFETY: By the safety requirement, `timer` is in a value of `map`. So the map has an
        // offset, and the value begins that many bytes before `timer`.
        let value = unsafe { timer.byte_sub(map.timer_offset().unwrap_unchecked()) }.cast();

        // INVARIANT: By the safety requirement.
        Self { map, value }
    }

    /// Returns the map.
    #[inline]
    pub fn map(self) -> &'a Map {
        self.map
    }

    /// Returns the address of the value.
    #[inline]
    pub fn value(self) -> NonNull<c_void> {
        self.value
    }

    /// Returns the address of the `struct bpf_timer` in the value, if there is one.
    #[inline]
    pub fn timer(self) -> Option<NonNull<bindings::bpf_timer>> {
        let offset = self.map.timer_offset()?;

        // SAFETY: By the type invariants this is a value, and by its type it has a timer there.
        Some(unsafe { self.value.byte_add(offset) }.cast())
    }

    /// Returns the address of the key. In an array the key is the index, which is stored in
    /// `index`. In a hash of any kind it stands before the value. Not for maps of other kinds: the
    /// values have no timers there.
    #[inline]
    pub fn key(self, index: &mut u32) -> *mut c_void {
        let map = self.map.as_ptr();
        let value = self.value.as_ptr();

        // SAFETY: Both fields are constant while the map lives.
        let (kind, key_size) = unsafe { ((*map).map_type, (*map).key_size as usize) };
        if kind != bindings::bpf_map_type_BPF_MAP_TYPE_ARRAY {
            // Rounded up to eight bytes.
            return value.wrapping_byte_sub((key_size + 7) & !7);
        }
        // SAFETY: A map of this kind is embedded in a `struct bpf_array`, as it is not offloaded.
        let array = unsafe { container_of!(map, bindings::bpf_array, map) };
        // SAFETY: The values follow the array's header; this only computes their address.
        let first = unsafe { (&raw const (*array).__bindgen_anon_1) as usize };
        // SAFETY: The field is constant while the map lives. No array has elements of size zero.
        let elem_size = unsafe {
            let size = (*array).elem_size as usize;
            core::hint::assert_unchecked(size != 0);
            size
        };

        *index = (value.addr().wrapping_sub(first) / elem_size) as u32;
        core::ptr::from_mut(index).cast()
    }

    /// Returns whether the map has the element. Maps whose elements cannot be deleted always have.
    ///
    /// Callable in any context. Gives no memory ordering.
    #[inline]
    pub fn is_in_map(self) -> bool {
        let map = self.map.as_ptr();
        // SAFETY: The operations of a map are constant.
        let has_value = unsafe { (*(*map).ops).map_has_value };

        // SAFETY: By the type invariants, this is the value of an element of the map that is not
        // freed, though the map may give its memory to another element.
        has_value.is_none_or(|has_value| unsafe { has_value(map, self.value.as_ptr()) })
    }
}
