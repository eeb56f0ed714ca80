// SPDX-License-Identifier: GPL-2.0-only

//! Operations left for later: a queue per CPU, and the drain that empties it.
//!
//! With interrupts off or in NMI, a program may have interrupted the hrtimer core, RCU or itself.
//! There an operation is put into the timer's [command word](crate::command) and the timer on the
//! queue of its CPU. The drain runs as soon as interrupts are on. Nothing is allocated, so nothing
//! of this fails for lack of memory (R5).
//!
//! The drain is an `irq_work`. If a CPU goes offline, the CPU that takes it down runs what is left,
//! so no operation waits for a CPU that is gone (R8). If drains take too much of a CPU, they pause
//! (R7); see [`pace`](crate::pace).

use crate::{
    command::{
        Handover,
        Next,
        Op, //
    },
    links::Links,
    pace::Pace,
    reap::Corpse,
    timer::Timer, //
};

use kernel::{
    irq_work::{
        IrqWork,
        IrqWorkItem, //
    },
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        llist::{
            Llist,
            LlistItem,
            LlistNode, //
        },
        SetOnce, //
    },
    time::hrtimer::dynamic::{
        ClockId,
        DynHrTimer,
        DynHrTimerCallback,
        StartMode, //
    },
};

use core::ptr::{
    self,
    NonNull, //
};

/// A timer on a queue, or with the drain.
///
/// # Invariants
///
/// The timer's command is not `Idle`, and no other `Queued` of it exists. So it is alive or, if it
/// is dead, owned by `self`; either way it is valid.
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
    /// Does what is pending: one operation and no more, as others may leave them faster than they
    /// can be done here, with interrupts off.
    fn process(self) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { self.0.as_ref() };
        // A dead CPU's queue is drained by another CPU.
        let here = QUEUE.this_cpu();

        // Relaxed: the exchange in `take()` comes after it.
        here.doing.store(self.0.as_ptr(), Relaxed);
        match timer.command.take() {
            Some(Op::Start(start)) => timer.start_now(start),
            Some(Op::Cancel) => {
                timer.disarm();
            }
            None => {}
        }
        // Release: pairs with the Acquire in `wait_for()`.
        here.doing.store(ptr::null_mut(), Release);

        match timer.command.finish() {
            // Nothing of the timer is touched from here on.
            Next::Done => {}
            Next::Again => here.push(self),
            // SAFETY: The timer is dead, and by the type invariants ours.
            Next::Bury => unsafe { Corpse::from_drain(self.0) }.bury(),
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
    /// The timer whose operation the drain on this CPU has taken and not finished.
    doing: Atomic<*mut Timer>,
}

kernel::define_per_cpu! {
    static QUEUE: Queue = Queue {
        timers: Llist::new(),
        work: IrqWork::new(),
        pace: Pace::new(),
        paused: Atomic::new(false),
        alarm: SetOnce::new(),
        doing: Atomic::new(ptr::null_mut()),
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
        // SAFETY: The queue is a static, so the alarm is never dropped.
        unsafe { DynHrTimer::start(&**alarm, nsecs, StartMode::new(false, true)) };
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
    impl HasDynHrTimer for Alarm { self.timer }
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

/// Leaves `op` to the drain.
///
/// [`ENOENT`] if the timer is dead, [`EINVAL`] if it is being made.
///
/// The caller must not be able to migrate, as is the case where operations must be deferred.
#[cold]
pub(crate) fn post(timer: &Timer, op: Op) -> Result {
    if timer.command.post(op)? == Handover::Caller {
        // INVARIANT: The command was `Idle` and is not any more, so the timer is on no queue. The
        // reference is a way to all that the drain may free, by the invariants of `Timer`.
        QUEUE.this_cpu().push(Queued(NonNull::from(timer)));
    }
    Ok(())
}

/// Waits until no drain is at an operation of `timer` that it took before this was called, which it
/// does not take long for; not where operations must be deferred.
#[cold]
pub(crate) fn wait_for(timer: &Timer) {
    for queue in QUEUE.copies() {
        // Acquire: pairs with the Release in `process()`, so that what the caller does next comes
        // after what the drain has done. If the drain took the operation before the caller found
        // it gone, the exchange that took it lets the caller see whose it was.
        while ptr::eq(queue.doing.load(Acquire), timer) {
            cpu_relax();
        }
    }
}

/// Leaves a dead timer to the drain.
pub(crate) fn bury(corpse: Corpse) {
    // INVARIANT: The timer is dead and was on no queue, by the invariants of `Corpse`.
    QUEUE.this_cpu().push(Queued(corpse.into_raw()));
}
