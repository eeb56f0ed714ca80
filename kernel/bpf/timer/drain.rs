// SPDX-License-Identifier: GPL-2.0-only

//! Alarms that are left for later: a queue per CPU, and the drain that empties it.
//!
//! With interrupts off or in NMI, a program may have interrupted the hrtimer core, RCU or itself.
//! There an operation changes the timer's [word](crate::word). If the [alarms](crate::alarm) do not
//! fit, it puts the timer on the queue of its CPU. The drain makes them fit as soon as interrupts
//! are on. Nothing is allocated, so nothing of this fails for lack of memory (R5).
//!
//! The drain is an `irq_work`. If a CPU goes offline, the CPU that takes it down runs what is left,
//! so no operation waits for a CPU that is gone (R8). If drains take too much of a CPU, they pause
//! (R7); see [`pace`](crate::pace).

use crate::{
    alarm::By,
    death::Corpse,
    links::Links,
    pace::Pace,
    timer::Timer, //
};

use kernel::{
    irq_work::{
        IrqWork,
        IrqWorkItem, //
    },
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        llist::{
            Llist,
            LlistItem,
            LlistNode, //
        },
        rcu,
        SetOnce, //
    },
    time::hrtimer::dynamic::{
        ClockId,
        DynHrTimer,
        DynHrTimerCallback,
        StartMode, //
    },
};

use core::ptr::NonNull;

/// A timer on a queue, or just taken off it.
///
/// # Invariants
///
/// No other `Queued` of the timer exists. Either its word says `QUEUED`; or it is dead, and owned
/// by `self`. Who kills a timer whose word says `QUEUED` leaves it to the drain, so it is valid.
struct Queued(NonNull<Timer>);

// SAFETY: Timers may be used, and freed, on any CPU.
unsafe impl Send for Queued {}

// SAFETY: The node is a field of the timer, which by the invariants is valid and on no other queue.
unsafe impl LlistItem for Queued {
    fn into_node(self) -> NonNull<LlistNode> {
        // SAFETY: By the type invariants the timer is valid.
        unsafe { Links::node_of(self.0) }
    }

    unsafe fn from_node(node: NonNull<LlistNode>) -> Self {
        // INVARIANT: What `into_node()` gave up.
        // SAFETY: The node is that of a timer.
        Self(unsafe { Links::timer_of_node(node) })
    }
}

impl Queued {
    /// Makes the alarms of a timer fit, or buries it.
    fn process(self) {
        // When the word does not say `QUEUED` any more, others may kill and bury a timer that is
        // alive. They free it after a grace period of Tasks Trace RCU, which implies one of RCU.
        let _reader = rcu::read_lock();
        // SAFETY: By the type invariants the timer is valid until the word does not say `QUEUED`,
        // and from then on because of `_reader`.
        let timer = unsafe { self.0.as_ref() };

        if timer.word.clear_queued().is_dead() {
            // SAFETY: The timer is dead, and by the type invariants ours.
            unsafe { Corpse::from_drain(self.0) }.bury();
        } else {
            timer.fit(By::Drain);
        }
    }
}

/// The queue of a CPU.
struct Queue {
    timers: Llist<Queued>,
    work: IrqWork<Queue>,
    pace: Pace,
    /// Whether drains pause, until the alarm ends that.
    paused: Atomic<bool>,
    alarm: SetOnce<Pin<KBox<Alarm>>>,
}

kernel::define_per_cpu! {
    static QUEUE: Queue = Queue {
        timers: Llist::new(),
        work: IrqWork::new(),
        pace: Pace::new(),
        paused: Atomic::new(false),
        alarm: SetOnce::new(),
    };
}

kernel::impl_has_irq_work! {
    // SAFETY: No module makes a `Queue`, which is private to this file.
    unsafe impl HasIrqWork for Queue { self.work }
}

impl IrqWorkItem for Queue {
    fn run(&'static self) {
        let drain = self.pace.begin();

        self.timers.take_all().for_each(Queued::process);
        if let Some(nsecs) = self.pace.end(drain) {
            self.pause(nsecs);
        }
    }
}

impl Queue {
    fn push(&'static self, timer: Queued) {
        // If it was not empty, whoever made it so has asked for a drain or is about to; or drains
        // pause, and the alarm does.
        // Relaxed: comes after the exchange of the push, which pairs with that of the drain at the
        // end of the pause. Either that drain finds the timer, or this finds no pause.
        if self.timers.push(timer) && !self.paused.load(Relaxed) {
            self.drain();
        }
    }

    /// Asks for a drain.
    fn drain(&'static self) {
        self.pace.ask();
        IrqWork::queue(self);
    }

    #[cold]
    fn pause(&self, nsecs: i64) {
        let Some(alarm) = self.alarm.as_ref() else {
            return;
        };
        // Relaxed: the alarm is started after it, with a lock.
        self.paused.store(true, Relaxed);
        DynHrTimer::start(&**alarm, nsecs, StartMode::new(false, true));
    }
}

/// The timer that ends the pause of a queue. If the CPU of the queue goes offline, the timer moves
/// to another CPU, which then drains the queue.
#[pin_data]
struct Alarm {
    #[pin]
    timer: DynHrTimer<Alarm>,
    queue: &'static Queue,
}

kernel::impl_has_dyn_hr_timer! {
    // SAFETY: An alarm is never dropped, since its queue is a static.
    unsafe impl HasDynHrTimer for Alarm { self.timer }
}

impl DynHrTimerCallback for Alarm {
    fn run(&self) {
        // Relaxed: comes before the exchange by which the drain takes the queue, which pairs with
        // that of the push in `Queue::push()`.
        self.queue.paused.store(false, Relaxed);
        self.queue.drain();
    }
}

/// Makes the queues ready to pause. Called once, at boot.
pub(crate) fn set_up_queues() -> Result {
    for queue in QUEUE.copies() {
        let alarm = try_pin_init!(Alarm {
            timer <- DynHrTimer::new(ClockId::Monotonic, StartMode::RELATIVE),
            queue,
        }? Error);

        queue.alarm.populate(KBox::try_pin_init(alarm, GFP_KERNEL)?);
    }
    Ok(())
}

/// Lets all drains pause, as if their CPUs owed `nsecs` of rest. Ends pauses if that is little.
#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
pub(crate) fn pause_all(nsecs: i64) {
    QUEUE.copies().for_each(|queue| queue.pause(nsecs));
}

/// Leaves the alarms of `timer` to the drain, unless they are; not if the timer is dead.
///
/// The caller must not be able to migrate, as is the case where operations must be deferred.
pub(crate) fn post(timer: &Timer) {
    if timer.word.set_queued() {
        // INVARIANT: The word says `QUEUED` now and did not before. The reference is a way to all
        // that the drain may free, by the invariants of `Timer`.
        QUEUE.this_cpu().push(Queued(NonNull::from(timer)));
    }
}

/// Leaves a dead timer to the drain.
pub(crate) fn bury(corpse: Corpse) {
    // INVARIANT: The timer is dead and was on no queue, by the invariants of `Corpse`.
    QUEUE.this_cpu().push(Queued(corpse.into_raw()));
}
