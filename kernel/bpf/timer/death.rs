// SPDX-License-Identifier: GPL-2.0-only

//! The end of a timer: from its slot to the allocator.
//!
//! Each type here is a stage, and owns the timer: [`Detached`] is out of its slot, [`Corpse`] is
//! dead and off the queues. So that it is freed once, and by one party (R6), is a matter of moves.

use crate::{
    alarm::WallTimer,
    drain,
    links::Links,
    timer::{
        must_defer,
        Timer, //
    }, //
};

use kernel::{
    alloc::allocator::NolockBox,
    bpf::Map,
    ffi::c_void,
    prelude::*,
    sync::rcu::tasks_trace::{
        self,
        RcuHead,
        RcuItem, //
    },
    time::hrtimer::dynamic::ClockId,
};

use core::ptr::NonNull;

/// A timer that is in no slot, though readers may still have found it there.
///
/// # Invariants
///
/// The timer is initialized and owned by `self`, and `WantedWord::kill()` was not called for it.
#[must_use = "a timer that is dropped here is never freed"]
pub(crate) struct Detached(NonNull<Timer>);

impl Detached {
    /// Makes a timer, with memory charged to the memory cgroup of `map`; [`ENOMEM`],
    /// or [`EOPNOTSUPP`] as from `DynHrTimer::new()`.
    ///
    /// # Safety
    ///
    /// `value` must be the value of an element of `map`, with the slot that the timer is for.
    pub(crate) unsafe fn new(map: &Map, value: *mut c_void, clock: ClockId) -> Result<Self> {
        // INVARIANT: The boxes own initialized timers.
        // CAST: A `WallTimer` begins with its timer.
        // SAFETY: By the safety requirement; the timer is not moved from here on, and a box is not
        // null.
        unsafe {
            let timer = if clock == ClockId::RealTime {
                let wall = map
                    .alloc_nolock()?
                    .write_pin_init(WallTimer::new(map, value))?;
                NolockBox::into_raw(Pin::into_inner_unchecked(wall)).cast::<Timer>()
            } else {
                let timer = map
                    .alloc_nolock()?
                    .write_pin_init(Timer::new(map, value, clock))?;
                NolockBox::into_raw(Pin::into_inner_unchecked(timer))
            };
            Ok(Self(NonNull::new_unchecked(timer)))
        }
    }

    /// Takes a timer over from its slot.
    ///
    /// # Safety
    ///
    /// `timer` must come from the slot that owned it, which must not own it any more.
    pub(crate) unsafe fn from_slot(timer: NonNull<Timer>) -> Self {
        // INVARIANT: By the safety requirement; `kill()` is for who took the timer from there.
        Self(timer)
    }

    pub(crate) fn as_ptr(&self) -> *mut Timer {
        self.0.as_ptr()
    }

    /// Leaves the timer to the slot that it was put into.
    pub(crate) fn into_slot(self) -> NonNull<Timer> {
        self.0
    }

    /// Frees a timer that was never in a slot.
    pub(crate) fn discard(self) {
        // SAFETY: By the type invariants it is ours, and nobody else can have found it.
        unsafe { free(self.0) }
    }

    /// Kills the timer. Callable in any context.
    pub(crate) fn kill(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { self.0.as_ref() };

        // The program need not wait for the drain, which on a CPU that goes offline may not come.
        timer.callback.clear();
        // If it is on a queue, or with the drain, that finds it dead.
        if timer.word.kill() {
            return;
        }
        // INVARIANT: The timer is dead now, and was on no queue.
        let corpse = Corpse(self.0);
        if must_defer() {
            drain::bury(corpse);
        } else {
            corpse.bury();
        }
    }
}

/// A dead timer that is on no queue, though readers may still have it and its expiry may run.
///
/// # Invariants
///
/// The timer is dead and owned by `self`, and its `links` are not in use.
#[must_use = "a timer that is dropped here is never freed"]
pub(crate) struct Corpse(NonNull<Timer>);

// SAFETY: A timer may be freed on any CPU.
unsafe impl Send for Corpse {}

impl Corpse {
    /// Takes over a dead timer from the drain.
    ///
    /// # Safety
    ///
    /// The timer must be dead, and the caller, having taken it off a queue, must own it.
    pub(crate) unsafe fn from_drain(timer: NonNull<Timer>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(timer)
    }

    pub(crate) fn into_raw(self) -> NonNull<Timer> {
        self.0
    }

    /// Cancels the timer and leaves the rest to RCU; not where operations must be deferred, but in
    /// the drain.
    pub(crate) fn bury(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { self.0.as_ref() };

        // What was set since it was killed, or just before.
        timer.callback.clear();
        // If it runs, it finds no callback or is past that, and is waited for below.
        timer.take_out();
        tasks_trace::call(self);
    }
}

// SAFETY: The head is in the timer, which the corpse owns, and by the invariants of `Links` is in
// no other use: the node is off the queues, and who still reads the map, by `Links::map()`, throws
// away what it gets.
unsafe impl RcuItem for Corpse {
    fn into_head(self) -> NonNull<RcuHead> {
        // INVARIANT (`Links`): The timer is dead and off the queues.
        // SAFETY: By the type invariants the timer is valid.
        unsafe { Links::rcu_of(self.0) }
    }

    unsafe fn from_head(head: NonNull<RcuHead>) -> Self {
        // INVARIANT: The corpse that `into_head()` gave up.
        // SAFETY: The head is that of a timer.
        Self(unsafe { Links::timer_of_rcu(head) })
    }

    /// Cancels what a start that raced with the timer's death has armed (R1), and frees the timer,
    /// unless its expiry runs.
    fn after_grace_period(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { self.0.as_ref() };

        // All who could arm it are through, but for an expiry that runs, which may do so at its
        // end: it is a reader of RCU, so look again after another grace period.
        if !timer.take_out() {
            tasks_trace::call(self);
            return;
        }
        // SAFETY: The timer is ours, no reader has it, and the hrtimer core is through with it.
        unsafe { free(self.0) };
    }
}

/// Frees a timer and drops what it refers to.
///
/// # Safety
///
/// The caller must own `timer`, and nobody else may use it, nor the hrtimer core.
unsafe fn free(timer: NonNull<Timer>) {
    // SAFETY: By the safety requirement.
    let in_wall = unsafe { timer.as_ref() }.is_in_wall();

    // SAFETY: Memory from `Map::alloc_nolock()` that was a `NolockBox` before, by the invariants of
    // `Detached` and `Corpse`; it is not moved.
    unsafe {
        if in_wall {
            drop(NolockBox::from_raw(timer.as_ptr().cast::<WallTimer>()));
        } else {
            drop(NolockBox::from_raw(timer.as_ptr()));
        }
    }
}
