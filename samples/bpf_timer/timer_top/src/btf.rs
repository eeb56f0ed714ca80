// SPDX-License-Identifier: GPL-2.0

//! Where in the values of a map the timer is, as its BTF says.

use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{MapCore, MapHandle};
use std::ffi::CStr;
use std::mem::{offset_of, size_of};
use std::ptr::NonNull;

const STRUCT: u32 = 4;
/// Typedefs, qualifiers and tags, which name another type.
const MODIFIERS: [u32; 5] = [8, 9, 10, 11, 18];
/// Deeper than structures of values are nested.
const MAX_DEPTH: u32 = 8;

const _: () = assert!(offset_of!(sys::btf_member, offset) == 8 && size_of::<sys::btf_type>() == 12);

/// The types of a map, which the kernel has checked.
struct Btf(NonNull<sys::btf>);

impl Drop for Btf {
    fn drop(&mut self) {
        // SAFETY: It was loaded, and nobody else has it.
        unsafe { sys::btf__free(self.0.as_ptr()) }
    }
}

/// Returns the offset of the timer; `None` if the values have none.
pub fn timer_offset(map: &MapHandle) -> Option<u32> {
    let info = map.info().ok()?.info;
    if info.btf_id == 0 || info.btf_value_type_id == 0 {
        return None;
    }
    // SAFETY: The kernel knows the id, or the result is null.
    let btf = Btf(NonNull::new(unsafe {
        sys::btf__load_from_kernel_by_id(info.btf_id)
    })?);
    btf.find_timer(info.btf_value_type_id, 0)
}

impl Btf {
    /// Returns a type, or the one that it names.
    fn resolve(&self, mut id: u32) -> Option<&sys::btf_type> {
        for _ in 0..MAX_DEPTH {
            // SAFETY: The result is null, or valid as long as the BTF.
            let ty = unsafe { sys::btf__type_by_id(self.0.as_ptr(), id).as_ref() }?;
            if !MODIFIERS.contains(&kind(ty)) {
                return Some(ty);
            }
            // SAFETY: Modifiers have this field of the union; any content is an integer.
            id = unsafe { ty.__bindgen_anon_1.type_ };
        }
        None
    }

    fn find_timer(&self, id: u32, depth: u32) -> Option<u32> {
        let ty = self.resolve(id)?;
        if kind(ty) != STRUCT || depth > MAX_DEPTH {
            return None;
        }
        // SAFETY: The result is null, or a string that is valid as long as the BTF.
        let name = unsafe {
            let name = sys::btf__name_by_offset(self.0.as_ptr(), ty.name_off);
            (!name.is_null()).then(|| CStr::from_ptr(name))
        };
        if name == Some(c"bpf_timer") {
            return Some(0);
        }
        let count = (ty.info & 0xffff) as usize;
        // SAFETY: The members of a structure follow it, as many as it says.
        let members = unsafe {
            let first = std::ptr::from_ref(ty).add(1).cast::<sys::btf_member>();
            std::slice::from_raw_parts(first, count)
        };
        members.iter().find_map(|member| {
            let inner = self.find_timer(member.type_, depth + 1)?;
            Some((member.offset & 0xff_ffff) / 8 + inner)
        })
    }
}

fn kind(ty: &sys::btf_type) -> u32 {
    (ty.info >> 24) & 0x1f
}
