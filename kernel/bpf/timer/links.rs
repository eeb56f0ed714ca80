// SPDX-License-Identifier: GPL-2.0-only

//! What links a timer to others: to its map and into a queue, or to RCU when it is buried.
//!
//! A buried timer needs neither map nor queue, so all three share 16 bytes.

use crate::timer::Timer;

use kernel::{
    bpf::Map,
    container_of,
    sync::{
        atomic::{
            ordering::Acquire,
            Atomic, //
        },
        llist::LlistNode,
        rcu::tasks_trace::RcuHead, //
    },
};

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

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

// SAFETY: The links are used from any CPU, by what they are for; all that is accessed through a
// reference is an atomic.
unsafe impl Send for Links {}
// SAFETY: As above.
unsafe impl Sync for Links {}

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

    /// Returns the map, or, once the timer is dead, whatever RCU has put in its place: find out
    /// afterwards.
    #[inline]
    pub(crate) fn map(&self) -> *mut Map {
        // SAFETY: The union has no padding, and any content makes an atomic pointer. RCU may write
        // to it at the same time, without an atomic access, but a word at a time.
        let map = unsafe { &self.alive.map };

        // Acquire: pairs with the Full exchange in `WantedWord::kill()` or, where the drain is who
        // buries, in `WantedWord::clear_queued()`, both of which come before RCU writes here.
        // Who gets such a pointer, finds the timer dead afterwards.
        map.load(Acquire)
    }

    /// Returns the node of a timer, which must be valid.
    ///
    /// # Safety
    ///
    /// `timer` must be valid.
    pub(crate) unsafe fn node_of(timer: NonNull<Timer>) -> NonNull<LlistNode> {
        // SAFETY: By the safety requirement; a field is not at address zero. The node comes first.
        unsafe { NonNull::new_unchecked(&raw mut (*timer.as_ptr()).links).cast() }
    }

    /// The inverse of [`Self::node_of`].
    ///
    /// # Safety
    ///
    /// `node` must be that of a valid timer.
    pub(crate) unsafe fn timer_of_node(node: NonNull<LlistNode>) -> NonNull<Timer> {
        // SAFETY: By the safety requirement.
        unsafe { Self::timer_of(node.cast()) }
    }

    /// Returns the RCU head of a timer.
    ///
    /// # Safety
    ///
    /// `timer` must be valid.
    pub(crate) unsafe fn rcu_of(timer: NonNull<Timer>) -> NonNull<RcuHead> {
        // SAFETY: By the safety requirement; a field is not at address zero.
        unsafe { NonNull::new_unchecked(&raw mut (*timer.as_ptr()).links).cast() }
    }

    /// The inverse of [`Self::rcu_of`].
    ///
    /// # Safety
    ///
    /// `rcu` must be that of a valid timer.
    pub(crate) unsafe fn timer_of_rcu(rcu: NonNull<RcuHead>) -> NonNull<Timer> {
        // SAFETY: By the safety requirement.
        unsafe { Self::timer_of(rcu.cast()) }
    }

    /// # Safety
    ///
    /// `links` must be those of a valid timer.
    unsafe fn timer_of(links: NonNull<Links>) -> NonNull<Timer> {
        // SAFETY: By the safety requirement.
        unsafe { NonNull::new_unchecked(container_of!(links.as_ptr(), Timer, links)) }
    }
}
