// SPDX-License-Identifier: GPL-2.0

//! The ids of all maps and programs.

use libbpf_rs::libbpf_sys as sys;
use std::collections::BTreeSet;

/// The ids that the kernel has at one moment.
#[derive(Default)]
pub struct Ids {
    pub maps: BTreeSet<u32>,
    pub progs: BTreeSet<u32>,
}

impl Ids {
    pub fn read() -> Self {
        Self {
            maps: all(sys::bpf_map_get_next_id),
            progs: all(sys::bpf_prog_get_next_id),
        }
    }
}

/// Returns all ids; `next` writes the id that follows one, or fails.
fn all(next: unsafe extern "C" fn(u32, *mut u32) -> i32) -> BTreeSet<u32> {
    let mut ids = BTreeSet::new();
    let mut id = 0;
    // SAFETY: `id` can be written.
    while unsafe { next(id, &mut id) } == 0 {
        ids.insert(id);
    }
    ids
}
