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
    owner::Queued,
    pace::Pace,
    timer::TimerPtr, //
};

use kernel::{
    interrupt::{
        self,
        IrqsOff, //
    },
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
        llist::Llist,
        SetOnce, //
    },
    time::hrtimer::soft::{
        ClockId,
        ItemPtr,
        SoftExpiry,
        SoftHrTimer,
        SoftHrTimerCallback,
        StartMode, //
    },
};

/// Returns whether this context may have interrupted the hrtimer core, RCU or a program's
/// bookkeeping, so that alarms must be left to the drain.
#[inline]
pub(crate) fn must_defer() -> bool {
    must_defer_if(interrupt::irqs_disabled())
}

/// Does what [`must_defer`] does, for who knows whether interrupts are disabled.
#[inline]
pub(crate) fn must_defer_if(irqs_disabled: bool) -> bool {
    irqs_disabled || interrupt::in_hardirq()
}

/// The queue of a CPU.
struct Queue {
    timers: Llist<Queued>,
    work: IrqWork<Queue>,
    pace: Pace,
    /// Whether drains pause, until `pause` ends that.
    paused: Atomic<bool>,
    pause: SetOnce<Pin<KBox<Pause>>>,
}

kernel::define_per_cpu! {
    static QUEUE: Queue = Queue {
        timers: Llist::new(),
        work: IrqWork::new(),
        pace: Pace::new(),
        paused: Atomic::new(false),
        pause: SetOnce::new(),
    };
}

kernel::impl_has_irq_work! {
    // SAFETY: No module makes a `Queue`, which is private to this file.
    unsafe impl HasIrqWork for Queue { self.work }
}

impl IrqWorkItem for Queue {
    fn run(&'static self, irqs_off: &IrqsOff) {
        let drain = self.pace.begin();

        self.timers
            .take_all()
            .for_each(|timer| timer.process(irqs_off));
        if let Some(nsecs) = self.pace.end(drain) {
            self.pause(nsecs);
        }
    }
}

impl Queue {
    fn push(&'static self, timer: Queued) {
        // If it was not empty, whoever made it so has asked for a drain or is about to; or drains
        // pause, and the end of that does.
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
        let Some(pause) = self.pause.as_ref() else {
            return;
        };
        // Relaxed: read on this CPU. The timer is started after it, with a lock.
        self.paused.store(true, Relaxed);
        SoftHrTimer::start(&**pause, nsecs, StartMode::new(false, true));
    }
}

/// The timer that ends the pause of a queue. If the CPU of the queue goes offline, the timer moves
/// to another CPU, which then drains the queue.
#[pin_data]
struct Pause {
    #[pin]
    timer: SoftHrTimer<Pause>,
    queue: &'static Queue,
}

kernel::impl_has_soft_hr_timer! {
    // SAFETY: Only a `Pause` that belongs to a `Queue` is started, by `Queue::pause()`. Queues are
    // statics, so it is never dropped or moved, and all references to it are shared ones.
    unsafe impl HasSoftHrTimer for Pause { self.timer }
}

impl SoftHrTimerCallback for Pause {
    fn run(this: ItemPtr<'_, Self>, _: &SoftExpiry) {
        // Relaxed: comes before the exchange by which the drain takes the queue, which pairs with
        // that of the push in `Queue::push()`.
        this.queue.paused.store(false, Relaxed);
        this.queue.drain();
    }
}

/// Makes the queues ready to pause. Called once, at boot.
pub(crate) fn set_up_queues() -> Result {
    for queue in QUEUE.copies() {
        let pause = try_pin_init!(Pause {
            timer <- SoftHrTimer::new(ClockId::Monotonic, StartMode::RELATIVE),
            queue,
        }? Error);

        queue.pause.populate(KBox::try_pin_init(pause, GFP_KERNEL)?);
    }
    Ok(())
}

/// Lets all drains pause, as if their CPUs owed `nsecs` of rest. Ends pauses if that is little.
#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
pub(crate) fn pause_all(nsecs: i64) {
    QUEUE.copies().for_each(|queue| queue.pause(nsecs));
}

/// Leaves the alarms of `timer` to the drain: puts it on the queue of this CPU, unless it is on one
/// or is dead.
///
/// The caller must not migrate. It does not if [`must_defer`] returns true.
#[inline(never)]
pub(crate) fn post(timer: TimerPtr<'_>) {
    if let Some(timer) = Queued::new(timer) {
        push(timer);
    }
}

/// Puts a timer on the queue of this CPU. The caller must not migrate.
pub(crate) fn push(timer: Queued) {
    QUEUE.this_cpu().push(timer);
}
