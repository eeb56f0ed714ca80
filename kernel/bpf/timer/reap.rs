// SPDX-License-Identifier: GPL-2.0-only

//! The end of a timer: from its slot to the allocator.
//!
//! Each type here is a stage, and owns the timer: [`Detached`] is out of its slot, [`Corpse`] is
//! dead and off the queues. So that it is freed once, and by one party (R6), is a matter of moves.

use crate::{
    command::Handover,
    defer,
    timer::{
        must_defer,
        Timer, //
    },
};

use kernel::{
    alloc::allocator::NolockBox,
    prelude::*,
    sync::rcu::tasks_trace::{
        self,
        RcuHead,
        RcuItem, //
    },
    time::hrtimer::dynamic::TryCancel,
};

use core::ptr::NonNull;

/// A timer that is in no slot, though readers may still have found it there.
///
/// # Invariants
///
/// The timer is initialized, was not killed, and is owned by `self`.
#[must_use = "a timer that is dropped here is never freed"]
pub(crate) struct Detached(NonNull<Timer>);

impl From<Pin<NolockBox<Timer>>> for Detached {
    fn from(timer: Pin<NolockBox<Timer>>) -> Self {
        // INVARIANT: The box owned an initialized timer.
        // SAFETY: The timer is not moved from here on; a box is not null.
        unsafe {
            let timer = NolockBox::into_raw(Pin::into_inner_unchecked(timer));
            Self(NonNull::new_unchecked(timer))
        }
    }
}

impl Detached {
    /// Takes a timer over from its slot.
    ///
    /// # Safety
    ///
    /// `timer` must come from the slot that owned it, which must not own it any more.
    pub(crate) unsafe fn from_slot(timer: NonNull<Timer>) -> Self {
        // INVARIANT: By the safety requirement; timers are only killed after they left the slot.
        Self(timer)
    }

    pub(crate) fn as_ptr(&self) -> *mut Timer {
        self.0.as_ptr()
    }

    /// Leaves the timer to the slot that it was put into.
    pub(crate) fn into_slot(self) {}

    /// Frees a timer that was never in a slot.
    pub(crate) fn discard(self) {
        // SAFETY: By the type invariants it is ours, and nobody else can have found it.
        unsafe { free(self.0) }
    }

    /// Kills the timer. Callable in any context.
    pub(crate) fn kill(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { self.0.as_ref() };

        // If it is on a queue, or with the drain, that finds it dead.
        if timer.command.kill() == Handover::Drain {
            return;
        }
        // INVARIANT: The timer is dead now, and was on no queue.
        let corpse = Corpse(self.0);
        if must_defer() {
            defer::bury(corpse);
        } else {
            corpse.bury();
        }
    }
}

/// A dead timer that is on no queue, though readers may still have it and its expiry may run.
///
/// # Invariants
///
/// The timer is dead and owned by `self`, and its `node` and `rcu` are not in use.
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

        timer.callback.clear();
        // If it runs, it finds no callback or is past that, and is waited for below.
        timer.hrtimer.try_to_cancel();
        tasks_trace::call(self);
    }
}

// SAFETY: `rcu` is a field of the timer, which the corpse owns, and by the invariants is unused.
unsafe impl RcuItem for Corpse {
    fn into_head(self) -> NonNull<RcuHead> {
        // SAFETY: By the type invariants the timer is valid, and a field of it is not at zero.
        unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).rcu) }
    }

    unsafe fn from_head(head: NonNull<RcuHead>) -> Self {
        // INVARIANT: The corpse that `into_head()` gave up.
        // SAFETY: The head is the field of a timer.
        Self(unsafe { NonNull::new_unchecked(kernel::container_of!(head.as_ptr(), Timer, rcu)) })
    }

    /// Frees the timer, unless a start that raced with its death has armed it (R1).
    fn after_grace_period(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { self.0.as_ref() };

        // All who could arm it are through. An expiry that runs is a reader of RCU, and is through
        // after another grace period.
        if timer.hrtimer.try_to_cancel() == TryCancel::Running {
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
    // SAFETY: Memory from `Map::alloc_nolock()` that was a `NolockBox` before, by the invariants of
    // `Detached` and `Corpse`; it is not moved.
    drop(unsafe { NolockBox::from_raw(timer.as_ptr()) });
}
