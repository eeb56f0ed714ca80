// SPDX-License-Identifier: GPL-2.0-only

//! The links of a timer: to its map and into a queue, or into RCU's lists after its death.
//!
//! A buried timer needs neither map nor queue, so all three share 16 bytes.

use kernel::{
    bpf::Map,
    sync::{
        atomic::{
            ordering::Acquire,
            Atomic, //
        },
        llist::LlistNode,
        rcu::tasks_trace::RcuHead, //
    },
};

use core::mem::ManuallyDrop;

/// See the [module](self).
///
/// # Invariants
///
/// `rcu` is in use only when the timer is dead and off the queues; it is `alive` until then.
#[repr(C)]
pub(crate) union Links {
    alive: ManuallyDrop<Alive>,
    rcu: ManuallyDrop<RcuHead>,
}

#[repr(C)]
struct Alive {
    node: LlistNode,
    map: Atomic<*mut Map>,
}

impl Links {
    pub(crate) fn new(map: &Map) -> Self {
        // INVARIANT: The timer is new.
        Self {
            alive: ManuallyDrop::new(Alive {
                node: LlistNode::new(),
                map: Atomic::new(core::ptr::from_ref(map).cast_mut()),
            }),
        }
    }

    /// Returns the map pointer. After the timer's death the word belongs to RCU. Check that the
    /// timer is alive after this load, before using the result.
    #[inline]
    pub(crate) fn map(&self) -> *mut Map {
        // SAFETY: The union has no padding, and any content makes an atomic pointer. RCU may write
        // to it at the same time, without an atomic access, but a word at a time.
        let map = unsafe { &self.alive.map };

        // Acquire: pairs with the Full exchange in `WantedWord::kill()` or, if the drain buries, in
        // `WantedWord::clear_queued()`. Both come before RCU writes here. So a caller that gets
        // such a pointer finds the timer dead afterwards.
        map.load(Acquire)
    }
}
