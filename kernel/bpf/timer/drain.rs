// SPDX-License-Identifier: GPL-2.0-only

//! Alarms that are left for later: a queue per CPU, and the drain that empties it.
//!
//! With interrupts off or in NMI, a program may have interrupted the hrtimer core, RCU or itself.
//! There an operation changes the timer's [word](crate::word). If the [alarms](crate::alarm) do not
//! fit, it puts the timer on the queue of its CPU. The drain makes them fit as soon as interrupts
//! are on. It also buries the timers that die in such a context. Nothing is allocated, so nothing
//! of this fails for lack of memory (R5).
//!
//! The drain is an `irq_work`. If a CPU goes offline, the CPU that takes it down runs what is left,
//! so no operation waits for a CPU that is gone (R8).
//!
//! A drain is short: it does a [few](AT_ONCE) timers, and asks for the next drain if there are
//! more. If drains take too much of a CPU, they pause (R7); see [`pace`](crate::pace). So timers
//! may die faster than drains bury them. Then programs that make timers [help](relieve).

use crate::{
    backlog::Backlog,
    owner::{
        Corpse,
        Queued, //
    },
    pace::Pace,
    timer::TimerPtr, //
};

use kernel::{
    interrupt::{
        self,
        IrqSaved,
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

/// Disables interrupts, so that alarms may be touched, unless [`must_defer`] says that they are
/// left to the drain.
///
/// # Safety
///
/// As for [`interrupt::local_irq_save`].
#[inline(always)]
pub(crate) unsafe fn irqs_off_unless_deferred() -> Option<IrqSaved> {
    // SAFETY: By the safety requirement.
    let saved = unsafe { interrupt::local_irq_save() };

    if must_defer_if(saved.were_disabled()) {
        return None;
    }
    Some(saved)
}

/// How many timers a drain makes fit, and how many it buries, before interrupts are on again.
const AT_ONCE: usize = 32;

/// How many dead timers somebody who makes a timer buries: more than one, so they become fewer.
const PER_NEW_TIMER: usize = 4;

/// The queue of a CPU.
struct Queue {
    timers: Backlog<Queued>,
    dead: Backlog<Corpse>,
    work: IrqWork<Queue>,
    pace: Pace,
    /// Whether drains pause, until `pause` ends that.
    paused: Atomic<bool>,
    pause: SetOnce<Pin<KBox<Pause>>>,
}

kernel::define_per_cpu! {
    static QUEUE: Queue = Queue {
        timers: Backlog::new(),
        dead: Backlog::new(),
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
        let timers_left = self
            .timers
            .process(AT_ONCE, |timer| timer.process(irqs_off));
        let dead_left = self.dead.process(AT_ONCE, |corpse| corpse.bury(irqs_off));
        let pauses = self.pace.end(drain).is_some_and(|nsecs| self.pause(nsecs));

        // The end of a pause asks for a drain.
        if (timers_left || dead_left) && !pauses {
            self.drain();
        }
    }
}

impl Queue {
    /// Asks for a drain after a push that was the `first`.
    ///
    /// After others, whoever was first has asked for a drain or is about to; or a drain has left
    /// some, and asks; or drains pause, and the end of that does.
    #[inline]
    fn pushed(&'static self, first: bool) {
        // Relaxed: comes after the exchange of the push, which pairs with that of the drain at the
        // end of the pause. Either that drain finds what was pushed, or this finds no pause.
        if first && !self.paused.load(Relaxed) {
            self.drain();
        }
    }

    /// Asks for a drain.
    fn drain(&'static self) {
        self.pace.ask();
        IrqWork::queue(self);
    }

    /// Lets drains pause for `nsecs`. Returns whether they do: not yet while the kernel boots.
    #[cold]
    fn pause(&self, nsecs: i64) -> bool {
        let Some(pause) = self.pause.as_ref() else {
            return false;
        };
        // Relaxed: read on this CPU. The timer is started after it, with a lock.
        self.paused.store(true, Relaxed);
        SoftHrTimer::start(&**pause, nsecs, StartMode::new(false, true));
        true
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
        // Relaxed: comes before the exchange by which the drain takes what is on the queue, which
        // pairs with that of the push before `Queue::pushed()`.
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
    for queue in QUEUE.copies() {
        queue.pause(nsecs);
    }
}

/// Leaves the alarms of `timer` to the drain: puts it on the queue of this CPU, unless it is on one
/// or is dead.
///
/// The caller must not migrate. It does not if [`must_defer`] returns true.
#[inline(never)]
pub(crate) fn post(timer: TimerPtr<'_>) {
    if let Some(timer) = Queued::new(timer) {
        let queue = QUEUE.this_cpu();

        queue.pushed(queue.timers.push(timer));
    }
}

/// Leaves a dead timer to the drain of this CPU, which buries it. The caller must not migrate.
pub(crate) fn bury_later(corpse: Corpse) {
    let queue = QUEUE.this_cpu();

    queue.pushed(queue.dead.push(corpse));
}

/// Buries some timers if the drain of this CPU is behind with that, or pauses. For who is about to
/// make a timer, in any context.
#[inline]
pub(crate) fn relieve() {
    let queue = QUEUE.this_cpu();

    // Relaxed: a timer more or less makes no difference.
    if queue.dead.is_behind() || queue.paused.load(Relaxed) {
        bury_some();
    }
}

#[cold]
fn bury_some() {
    // SAFETY: The guard is dropped at the end, and `bury()` leaves none behind.
    if let Some(irqs_off) = unsafe { irqs_off_unless_deferred() } {
        let dead = &QUEUE.this_cpu().dead;

        // If there are more, the drain that is behind asks for the next one, or a pause does.
        dead.process(PER_NEW_TIMER, |corpse| corpse.bury(&irqs_off));
    }
}
