// SPDX-License-Identifier: GPL-2.0-only

//! Operations left for later: a queue per CPU, and the drain that empties it.
//!
//! With interrupts off or in NMI, a program may have interrupted the hrtimer core, RCU or itself.
//! There an operation is put into the timer's [command word](crate::command) and the timer on the
//! queue of its CPU; the drain runs as soon as interrupts are on. Nothing is allocated, so nothing
//! of this fails for lack of memory (R5).

use crate::{
    command::{
        Handover,
        Next,
        Op, //
    },
    links::Links,
    reap::Corpse,
    timer::Timer, //
};

use kernel::{
    interrupt,
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
    fn process(self, queue: &'static Queue) {
        // SAFETY: By the type invariants the timer is valid.
        let timer = unsafe { self.0.as_ref() };

        // Relaxed: the exchange in `take()` comes after it.
        queue.doing.store(self.0.as_ptr(), Relaxed);
        match timer.command.take() {
            Some(Op::Start(start)) => timer.start_now(start),
            Some(Op::Cancel) => {
                timer.disarm();
            }
            None => {}
        }
        // Release: pairs with the Acquire in `wait_for()`.
        queue.doing.store(ptr::null_mut(), Release);

        match timer.command.finish() {
            // Nothing of the timer is touched from here on.
            Next::Done => {}
            Next::Again => queue.push(self),
            // SAFETY: The timer is dead, and by the type invariants ours.
            Next::Bury => unsafe { Corpse::from_drain(self.0) }.bury(),
        }
    }
}

/// How many drains in a row NMIs may disturb.
const MOST_DISTURBED: u32 = 8;

/// The queue of a CPU.
struct Queue {
    timers: Llist<Queued>,
    work: IrqWork<Queue>,
    /// Whether the drain is at work. Only written on this CPU, as is what follows.
    draining: Atomic<bool>,
    /// Whether an NMI has left something while the drain is at work.
    disturbed: Atomic<bool>,
    /// How many drains before this one, in a row, were disturbed.
    disturbed_before: Atomic<u32>,
    /// The timer whose operation the drain has taken and not finished.
    doing: Atomic<*mut Timer>,
}

kernel::define_per_cpu! {
    static QUEUE: Queue = Queue {
        timers: Llist::new(),
        work: IrqWork::new(),
        draining: Atomic::new(false),
        disturbed: Atomic::new(false),
        disturbed_before: Atomic::new(0),
        doing: Atomic::new(ptr::null_mut()),
    };
}

kernel::impl_has_irq_work! {
    // SAFETY: No module makes a `Queue`, which is private to this file.
    unsafe impl HasIrqWork for Queue { self.work }
}

impl IrqWorkItem for Queue {
    fn run(&'static self) {
        // Relaxed, all of them: only accessed on this CPU.
        self.draining.store(true, Relaxed);
        self.timers.take_all().for_each(|timer| timer.process(self));
        self.draining.store(false, Relaxed);

        let disturbed = if self.disturbed.load(Relaxed) {
            self.disturbed_before.load(Relaxed) + 1
        } else {
            0
        };
        self.disturbed_before.store(disturbed, Relaxed);
        self.disturbed.store(false, Relaxed);
    }
}

impl Queue {
    fn push(&'static self, timer: Queued) {
        // If it was not empty, whoever made it so has queued the work or is about to.
        if self.timers.push(timer) {
            IrqWork::queue(self);
        }
    }

    /// Returns whether an operation issued here comes from the drain of this CPU, by way of a
    /// tracepoint or probe on what it does.
    ///
    /// An NMI comes by itself, but breakpoints, and with them probes, are NMIs too. So NMIs may
    /// leave something while the drain is at work, but not in too many drains in a row.
    fn would_feed_itself(&self) -> bool {
        // Relaxed, all of them: only accessed on this CPU.
        if !self.draining.load(Relaxed) {
            return false;
        }
        if !interrupt::in_nmi() {
            return true;
        }
        if self.disturbed_before.load(Relaxed) == MOST_DISTURBED {
            return true;
        }
        self.disturbed.store(true, Relaxed);
        false
    }
}

/// Leaves `op` to the drain.
///
/// [`ENOENT`] if the timer is dead, [`EINVAL`] if it is being made. [`EDEADLK`] if the drain itself
/// has issued it: each operation that it does could issue two more, and this CPU would never do
/// anything else.
///
/// The caller must not be able to migrate, as is the case where operations must be deferred.
#[cold]
pub(crate) fn post(timer: &Timer, op: Op) -> Result {
    let queue = QUEUE.this_cpu();

    if queue.would_feed_itself() {
        return Err(EDEADLK);
    }
    if timer.command.post(op)? == Handover::Caller {
        // INVARIANT: The command was `Idle` and is not any more, so the timer is on no queue. The
        // reference is a way to all that the drain may free, by the invariants of `Timer`.
        queue.push(Queued(NonNull::from(timer)));
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
