// SPDX-License-Identifier: GPL-2.0-only

//! Who owns a timer, from the allocator to its slot and back.
//!
//! Each type here is a stage and owns the timer, so that it is freed once and by one party (R6) is
//! a matter of moves:
//!
//! ```text
//!                                          kill()       grace period
//!  TimerBox --> (slot) --> Detached -----------> Corpse ------------> TimerBox --> freed
//!                                    \          ^
//!                     if it is queued \        / the drain
//!                                      v      /
//!                                       Queued
//! ```

use crate::{
    alarm::WallTimer,
    drain::{
        self,
        must_defer, //
    },
    links::Links,
    timer::{
        Timer,
        TimerPtr, //
    }, //
};

use kernel::{
    alloc::allocator::NolockBox,
    bpf::Element,
    container_of,
    prelude::*,
    sync::{
        llist::{
            LlistItem,
            LlistNode, //
        },
        rcu::{
            self,
            tasks_trace::{
                self,
                RcuHead,
                RcuItem, //
            },
        },
    },
    time::hrtimer::soft::ClockId,
};

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

/// A timer that nobody else has: not yet, or not any more.
///
/// # Invariants
///
/// The timer is initialized and owned by `self`, in memory of a `NolockBox`, be it of a
/// [`WallTimer`]. Neither an expiry nor the hrtimer core has it.
pub(crate) struct TimerBox(NonNull<Timer>);

impl TimerBox {
    /// Makes a timer, with memory charged to the memory cgroup of the map; [`ENOMEM`], or
    /// [`EOPNOTSUPP`] as from `SoftHrTimer::new()`.
    ///
    /// # Safety
    ///
    /// `element` must have the slot that the timer is for.
    pub(crate) unsafe fn new(element: Element<'_>, clock: ClockId) -> Result<Self> {
        let map = element.map();
        // CAST: A `WallTimer` begins with its timer.
        // SAFETY: By the safety requirement; the timer is not moved from here on.
        let timer = unsafe {
            if clock == ClockId::RealTime {
                let wall = map
                    .alloc_nolock()?
                    .write_pin_init(WallTimer::new(element))?;
                NolockBox::into_raw(Pin::into_inner_unchecked(wall)).cast::<Timer>()
            } else {
                let timer = map
                    .alloc_nolock()?
                    .write_pin_init(Timer::new(element, clock))?;
                NolockBox::into_raw(Pin::into_inner_unchecked(timer))
            }
        };

        // INVARIANT: The boxes owned initialized timers, which were never started.
        // SAFETY: A box is not null.
        Ok(Self(unsafe { NonNull::new_unchecked(timer) }))
    }

    pub(crate) fn as_ptr(&self) -> *mut Timer {
        self.0.as_ptr()
    }

    /// Leaves the timer to the slot that it was put into.
    pub(crate) fn into_slot(self) -> NonNull<Timer> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for TimerBox {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the timer is ours.
        let timer = unsafe { TimerPtr::new(self.0) };
        let wall = timer.wall().map(|wall| wall.as_non_null());

        // SAFETY: By the type invariants it was a `NolockBox` before, of what is said here by the
        // invariants of `Timer`; it is not moved, and nobody else uses it.
        unsafe {
            match wall {
                Some(wall) => drop(NolockBox::from_raw(wall.as_ptr())),
                None => drop(NolockBox::from_raw(self.0.as_ptr())),
            }
        }
    }
}

/// A timer that is in no slot, though readers may still have found it there.
///
/// # Invariants
///
/// The timer is initialized and owned by `self`, and `WantedWord::kill()` was not called for it.
#[must_use = "a timer that is dropped here is never freed"]
pub(crate) struct Detached(NonNull<Timer>);

impl Detached {
    /// Takes a timer over from its slot.
    ///
    /// # Safety
    ///
    /// `timer` must come from the slot that owned it, which must not own it any more.
    pub(crate) unsafe fn from_slot(timer: NonNull<Timer>) -> Self {
        // INVARIANT: By the safety requirement; `kill()` is for who took the timer from there.
        Self(timer)
    }

    /// Kills the timer. Callable in any context.
    pub(crate) fn kill(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { TimerPtr::new(self.0) };

        // The program need not wait for the drain, which on a CPU that goes offline may not come.
        timer.callback.clear();
        // If it is on a queue, or with the drain, that finds it dead.
        if timer.word.kill() {
            return;
        }
        // INVARIANT: The timer is dead now, and was on no queue.
        let corpse = Corpse(self.0);
        if must_defer() {
            drain::push(corpse.into());
        } else {
            corpse.bury();
        }
    }
}

/// A timer on a queue, or just taken off it.
///
/// # Invariants
///
/// No other `Queued` of the timer exists. Either its word says `QUEUED`; or it is dead, and owned
/// by `self`. Who kills a timer whose word says `QUEUED` leaves it to the drain, so it is valid.
pub(crate) struct Queued(NonNull<Timer>);

// SAFETY: Timers may be used, and freed, on any CPU.
unsafe impl Send for Queued {}

// SAFETY: The node is a field of the timer, which by the invariants is valid and on no other queue.
unsafe impl LlistItem for Queued {
    fn into_node(self) -> NonNull<LlistNode> {
        // SAFETY: By the type invariants the timer is valid.
        Links::of(unsafe { TimerPtr::new(self.0) }).cast()
    }

    unsafe fn from_node(node: NonNull<LlistNode>) -> Self {
        // INVARIANT: What `into_node()` gave up.
        // SAFETY: The node is in the links of a timer, at their beginning.
        Self(unsafe {
            let links = node.as_ptr().cast::<Links>();
            NonNull::new_unchecked(container_of!(links, Timer, links))
        })
    }
}

impl Queued {
    /// Says in the timer's word that it is queued; `None` if it is already, or dead.
    pub(crate) fn new(timer: TimerPtr<'_>) -> Option<Self> {
        // INVARIANT: The word says `QUEUED` now and did not before.
        timer.word.set_queued().then(|| Self(timer.as_non_null()))
    }

    /// Makes the alarms of a timer fit, or buries it, in the drain.
    pub(crate) fn process(self) {
        // When the word does not say `QUEUED` any more, others may kill and bury a timer that is
        // alive. They free it after a grace period of Tasks Trace RCU, which implies one of RCU.
        let _reader = rcu::read_lock();
        // SAFETY: By the type invariants the timer is valid until the word does not say `QUEUED`,
        // and from then on because of `_reader`.
        let timer = unsafe { TimerPtr::new(self.0) };
        let word = timer.word.clear_queued();

        if word.is_dead() {
            // INVARIANT: The timer is dead, and by the type invariants ours.
            Corpse(self.0).bury();
        } else {
            timer.fit_in_drain(word);
        }
    }
}

impl From<Corpse> for Queued {
    fn from(corpse: Corpse) -> Self {
        // INVARIANT: The timer is dead and was on no queue, by the invariants of `Corpse`.
        Self(corpse.0)
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
    /// Takes the alarms out and leaves the rest to RCU; not where [`must_defer`] says so, but in
    /// the drain.
    fn bury(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { TimerPtr::new(self.0) };

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
        Links::of(unsafe { TimerPtr::new(self.0) }).cast()
    }

    unsafe fn from_head(head: NonNull<RcuHead>) -> Self {
        // INVARIANT: The corpse that `into_head()` gave up.
        // SAFETY: The head is in the links of a timer, at their beginning.
        Self(unsafe {
            let links = head.as_ptr().cast::<Links>();
            NonNull::new_unchecked(container_of!(links, Timer, links))
        })
    }

    /// Cancels what a start that raced with the timer's death has armed (R1), and frees the timer,
    /// unless its expiry runs.
    fn after_grace_period(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { TimerPtr::new(self.0) };

        // All who could arm it are through, but for an expiry that runs, which may do so at its
        // end: it is a reader of RCU, so look again after another grace period.
        if !timer.take_out() {
            tasks_trace::call(self);
            return;
        }
        // INVARIANT: No reader has it, and the hrtimer core is through with it.
        drop(TimerBox(self.0));
    }
}
