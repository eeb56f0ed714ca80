// SPDX-License-Identifier: GPL-2.0-only

//! The owners of a timer, from the allocator to its slot and back.
//!
//! Each type here is a stage, and owns the timer. Each stage is moved into the next, so the
//! compiler guarantees that a timer is freed once (R6):
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
    drain,
    links::Links,
    timer::{
        Timer,
        TimerPtr, //
    },
    trace,
    word::Word, //
};

use kernel::{
    alloc::allocator::NolockBox,
    bpf::Element,
    container_of,
    interrupt::{
        self,
        IrqsOff, //
    },
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

/// A pointer that owns a timer.
///
/// # Invariants
///
/// `self` owns the timer, which is initialized. The memory is from a `NolockBox` of a [`Timer`] or
/// of a [`WallTimer`].
struct Owned(NonNull<Timer>);

// SAFETY: A timer may be used, and freed, on any CPU.
unsafe impl Send for Owned {}

impl Owned {
    fn timer(&self) -> TimerPtr<'_> {
        // SAFETY: By the type invariants, the timer is initialized and not freed before `self`
        // goes.
        unsafe { TimerPtr::new(self.0) }
    }
}

/// Returns the address of the links of a timer. At their beginning is the node or, once the timer
/// is dead and off the queues, the RCU head.
fn links_of(timer: TimerPtr<'_>) -> NonNull<Links> {
    // From the pointer, since by the links one gets back to that.
    let timer = timer.as_non_null().as_ptr();

    // SAFETY: The timer is valid, and a field of it is not at address zero.
    unsafe { NonNull::new_unchecked(&raw mut (*timer).links) }
}

/// Returns the timer that has `links`.
///
/// # Safety
///
/// `links` must come from [`links_of`].
unsafe fn timer_of(links: NonNull<Links>) -> NonNull<Timer> {
    // SAFETY: By the safety requirement the links are in a timer.
    unsafe { NonNull::new_unchecked(container_of!(links.as_ptr(), Timer, links)) }
}

/// A timer that nobody else has: not yet, or not any more.
///
/// # Invariants
///
/// No reader, no expiry and no queue has the timer.
pub(crate) struct TimerBox(Owned);

impl TimerBox {
    /// Makes a timer for the slot in `element`, with memory charged to the memory cgroup of the
    /// map; [`ENOMEM`], or [`EOPNOTSUPP`] as from `SoftHrTimer::new()`.
    pub(crate) fn new(element: Element<'_>, clock: ClockId) -> Result<Self> {
        let map = element.map();
        // CAST: A `WallTimer` begins with its timer.
        // SAFETY: `Timer::new()` is called for the other clocks only. Nothing moves the timer from
        // here on.
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

        // INVARIANT: The boxes owned initialized timers, which nobody has seen.
        // SAFETY: A box is not null.
        Ok(Self(Owned(unsafe { NonNull::new_unchecked(timer) })))
    }

    pub(crate) fn as_ptr(&self) -> *mut Timer {
        self.0 .0.as_ptr()
    }

    /// Leaves the timer to the slot that it was put into.
    pub(crate) fn into_slot(self) -> NonNull<Timer> {
        ManuallyDrop::new(self).0 .0
    }
}

impl Drop for TimerBox {
    fn drop(&mut self) {
        let wall = self.0.timer().wall().map(|wall| wall.as_non_null());

        // SAFETY: By the invariants of `Owned`, the memory is from a `NolockBox`. By those of
        // `Timer`, that box held a `WallTimer` if there is `wall`, and a `Timer` otherwise. The
        // timer is not moved, and nobody else uses it.
        unsafe {
            match wall {
                Some(wall) => drop(NolockBox::from_raw(wall.as_ptr())),
                None => drop(NolockBox::from_raw(self.as_ptr())),
            }
        }
    }
}

/// A timer that is in no slot, though readers may still have found it there.
///
/// # Invariants
///
/// `WantedWord::kill()` was not called for the timer.
#[must_use = "a timer that is dropped here is never freed"]
pub(crate) struct Detached(Owned);

impl Detached {
    /// Takes a timer over from its slot.
    ///
    /// # Safety
    ///
    /// `timer` must come from the slot that owned it, which must not own it any more.
    pub(crate) unsafe fn from_slot(timer: NonNull<Timer>) -> Self {
        // INVARIANT: By the safety requirement; `kill()` is for who took the timer from there.
        Self(Owned(timer))
    }

    /// Kills the timer. Callable in any context.
    pub(crate) fn kill(self) {
        let timer = self.0.timer();
        let word = if trace::free_is_on() {
            trace::free(timer, TimerPtr::kill)
        } else {
            timer.kill()
        };

        // If it is on a queue, or with the drain, that finds it dead.
        if word.is_queued() {
            return;
        }
        // INVARIANT: The timer is dead now, and was on no queue.
        let corpse = Corpse(self.0);
        // SAFETY: The guard is dropped at the end, and `bury()` leaves none behind.
        match unsafe { drain::irqs_off_unless_deferred() } {
            Some(irqs_off) => corpse.bury(&irqs_off),
            None => drain::bury_later(corpse),
        }
    }
}

impl TimerPtr<'_> {
    /// Makes the timer dead; returns what the word was before. For [`Detached::kill`] alone.
    #[inline]
    fn kill(self) -> Word {
        // The program need not wait for the drain, which on a CPU that goes offline may not come.
        self.callback.clear();
        self.word.kill()
    }
}

/// A timer on a queue, or just taken off it.
///
/// # Invariants
///
/// The timer's word says `QUEUED`, and no other `Queued` of the timer exists. Who kills such a
/// timer leaves it to the drain, so it is valid.
pub(crate) struct Queued(NonNull<Timer>);

// SAFETY: Timers may be used, and freed, on any CPU.
unsafe impl Send for Queued {}

// SAFETY: The node is a field of the timer, which by the invariants is valid and on no other queue.
unsafe impl LlistItem for Queued {
    fn into_node(self) -> NonNull<LlistNode> {
        // SAFETY: By the type invariants the timer is valid.
        links_of(unsafe { TimerPtr::new(self.0) }).cast()
    }

    unsafe fn from_node(node: NonNull<LlistNode>) -> Self {
        // INVARIANT: `into_node()` gave this up.
        // SAFETY: The node is that of `into_node()`, which is at the beginning of the links.
        Self(unsafe { timer_of(node.cast()) })
    }
}

impl Queued {
    /// Says in the timer's word that it is queued; `None` if it is already, or dead.
    pub(crate) fn new(timer: TimerPtr<'_>) -> Option<Self> {
        // INVARIANT: The word says `QUEUED` now and did not before.
        timer.word.set_queued().then(|| Self(timer.as_non_null()))
    }

    /// Makes the alarms of a timer fit, or buries it, in the drain.
    pub(crate) fn process(self, irqs_off: &IrqsOff) {
        // When the word does not say `QUEUED` any more, others may kill and bury a timer that is
        // alive. They free it after a grace period of Tasks Trace RCU, which implies one of RCU.
        let _reader = rcu::read_lock();
        // SAFETY: By the type invariants the timer is valid until the word does not say `QUEUED`,
        // and from then on because of `_reader`.
        let timer = unsafe { TimerPtr::new(self.0) };
        let word = timer.word.clear_queued();

        if word.is_dead() {
            // INVARIANT: The timer is dead, off the queue, and was left to us.
            Corpse(Owned(self.0)).bury(irqs_off);
        } else {
            timer.fit_in_drain(word, irqs_off);
        }
    }
}

/// A dead timer, though readers may still have it and its expiry may run.
///
/// # Invariants
///
/// The timer is dead, and its `links` are not in use: no [`Queued`] of it exists.
#[must_use = "a timer that is dropped here is never freed"]
pub(crate) struct Corpse(Owned);

impl Corpse {
    /// Takes the alarms out and leaves the rest to RCU.
    pub(crate) fn bury(self, irqs_off: &IrqsOff) {
        let timer = self.0.timer();

        // A callback may have been set since the timer was killed, or just before.
        timer.callback.clear();
        // If an expiry runs, it finds no callback or is past that, and is waited for below.
        if timer.is_any_queued() {
            timer.take_out(irqs_off);
        }
        tasks_trace::call(self);
    }
}

// SAFETY: The node is in the timer, which the corpse owns, and by the invariants in no other use.
unsafe impl LlistItem for Corpse {
    fn into_node(self) -> NonNull<LlistNode> {
        links_of(self.0.timer()).cast()
    }

    unsafe fn from_node(node: NonNull<LlistNode>) -> Self {
        // INVARIANT: The corpse that `into_node()` gave up.
        // SAFETY: The node is that of `into_node()`, which is at the beginning of the links.
        Self(Owned(unsafe { timer_of(node.cast()) }))
    }
}

// SAFETY: The head is in the timer, which the corpse owns, and by the invariants of `Links` is in
// no other use: the node is off the queues, and who still reads the map, by `Links::map()`, throws
// away what it gets.
unsafe impl RcuItem for Corpse {
    fn into_head(self) -> NonNull<RcuHead> {
        // INVARIANT (`Links`): The timer is dead and off the queues.
        links_of(self.0.timer()).cast()
    }

    unsafe fn from_head(head: NonNull<RcuHead>) -> Self {
        // INVARIANT: The corpse that `into_head()` gave up.
        // SAFETY: The head is that of `into_head()`, which is at the beginning of the links.
        Self(Owned(unsafe { timer_of(head.cast()) }))
    }

    /// Cancels what a start that raced with the timer's death has armed (R1), and frees the timer,
    /// unless its expiry runs.
    fn after_grace_period(self) {
        let is_out = {
            // SAFETY: The only guard in this function, which calls nothing that leaves one behind.
            let irqs_off = unsafe { interrupt::local_irq_save() };

            self.0.timer().take_out(&irqs_off)
        };

        // Only a running expiry can still arm it. The expiry is a reader of RCU, so look again
        // after another grace period.
        if !is_out {
            tasks_trace::call(self);
            return;
        }
        // INVARIANT: No reader has the timer, and the hrtimer core does not use it any more.
        drop(TimerBox(self.0));
    }
}
