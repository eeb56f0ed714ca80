// SPDX-License-Identifier: GPL-2.0-only

//! The timer itself, and what programs do with it.

use crate::{
    callback::CallbackCell,
    command::{
        CommandWord,
        Op,
        Start, //
    },
    defer,
    expire, //
};

use kernel::{
    bpf::{
        Callback,
        Map,
        Prog, //
    },
    ffi::c_void,
    interrupt,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        barrier::smp_mb,
        barrier::Full,
        llist::LlistNode,
        rcu::tasks_trace::RcuHead, //
    },
    time::hrtimer::dynamic::{
        ClockId,
        DynHrTimer,
        TryCancel, //
    },
};

/// A timer, in memory charged to the memory cgroup of its map.
///
/// It is found through its [slot](crate::slot), by readers of RCU or RCU Tasks Trace; through a
/// queue of the [drain](crate::defer); or by its expiry. After its death it is freed by a
/// [`Corpse`](crate::reap::Corpse).
///
/// # Invariants
///
/// - `map` is used by operations and callbacks, that is by programs, each of which refers to the
///   map (or to the map that this one is in, which frees it after a grace period) until it is freed
///   itself. It is not used to free the timer.
/// - `value` is the value of the element of `map` in which the timer's slot is. It is used by
///   callbacks, none of which begins after the grace period that follows the timer's death.
#[pin_data]
pub(crate) struct Timer {
    #[pin]
    pub(crate) hrtimer: DynHrTimer<Timer>,
    pub(crate) callback: CallbackCell,
    pub(crate) command: CommandWord,
    /// How many callbacks of other timers wait for this one to be cancelled.
    cancelling: Atomic<i32>,
    map: *const Map,
    pub(crate) value: *mut c_void,
    pub(crate) node: LlistNode,
    pub(crate) rcu: RcuHead,
}

// SAFETY: `map` and `value` are valid on all CPUs, by the type invariants; all else is `Send`.
unsafe impl Send for Timer {}
// SAFETY: As above; `map` and `value` do not change.
unsafe impl Sync for Timer {}

kernel::impl_has_dyn_hr_timer! {
    impl HasDynHrTimer for Timer { self.hrtimer }
}

/// Returns whether this context may have interrupted the hrtimer core, RCU or a program's
/// bookkeeping, so that operations must be left to the drain.
#[inline]
pub(crate) fn must_defer() -> bool {
    interrupt::in_hardirq() || interrupt::irqs_disabled()
}

impl Timer {
    /// Returns an initializer for a timer that is stopped and has no callback.
    ///
    /// # Safety
    ///
    /// `value` must be the value of an element of `map`, with the slot that the timer is for.
    pub(crate) unsafe fn new(
        map: &Map,
        value: *mut c_void,
        clock: ClockId,
    ) -> impl PinInit<Self> + '_ {
        // INVARIANT: By the safety requirement; the timer dies with the element.
        pin_init!(Self {
            hrtimer <- DynHrTimer::new(clock),
            callback: CallbackCell::new(),
            command: CommandWord::new(),
            cancelling: Atomic::new(0),
            map,
            value,
            node: LlistNode::new(),
            rcu: RcuHead::new(),
        })
    }

    /// Returns the map that the timer belongs to.
    #[inline]
    pub(crate) fn map(&self) -> &Map {
        // SAFETY: By the type invariants the map is valid.
        unsafe { &*self.map }
    }

    /// Sets what the timer calls; [`EPERM`] if the map has no user reference.
    pub(crate) fn set_callback(&self, prog: &Prog, callback: Callback) -> Result {
        // What is set while the last user reference goes is dropped with the timer.
        if !self.map().has_user_refs() {
            return Err(EPERM);
        }
        self.callback.set(prog, callback)
    }

    /// Arms the timer, or moves it.
    #[inline]
    pub(crate) fn start(&self, start: Start) -> Result {
        if !self.callback.is_set() {
            return Err(EINVAL);
        }
        if must_defer() {
            return defer::post(self, Op::Start(start));
        }
        self.command.supersede()?;
        self.start_now(start);
        Ok(())
    }

    /// Arms the timer; not where [`must_defer`] says so.
    #[inline]
    pub(crate) fn start_now(&self, start: Start) {
        // SAFETY: The timer stays valid until the grace period after its death, in the readers of
        // which we are, and from then on until its corpse found it cancelled and not running.
        unsafe { self.hrtimer.start(start.nsecs as i64, start.mode()) };

        // R1: If the timer died in between, whoever killed it may have cancelled before we armed.
        // What this load misses, the corpse cancels after the grace period, and until then the
        // expiry finds the timer dead. So no barrier is needed, which would cost every start.
        if self.command.is_dead() {
            self.hrtimer.try_to_cancel();
        }
    }

    /// Cancels the timer, drops its callback, and waits for a callback that runs; not where
    /// [`must_defer`] says so.
    ///
    /// Returns whether it was armed. [`EDEADLK`] where that would wait for itself (R4).
    pub(crate) fn cancel(&self) -> Result<bool> {
        if self.hrtimer.callback_running_here() {
            return Err(EDEADLK);
        }
        let _wait = expire::running_here()
            .map(|own| Wait::begin(own, self))
            .transpose()?;

        // A dead timer is cancelled for good already; there is just its callback to wait for.
        let start_pending = self.drop_pending().unwrap_or(false);

        self.callback.clear();
        Ok(self.hrtimer.cancel() || start_pending)
    }

    /// Cancels the timer without waiting, and keeps its callback.
    ///
    /// [`ECANCELED`] if that is left to the drain, [`ENOENT`] if the timer is dead.
    pub(crate) fn try_cancel(&self) -> Result<TryCancel> {
        if must_defer() {
            defer::post(self, Op::Cancel)?;
            return Err(ECANCELED);
        }
        let start_pending = self.drop_pending()?;

        match self.hrtimer.try_to_cancel() {
            TryCancel::Inactive if start_pending => Ok(TryCancel::Cancelled),
            outcome => Ok(outcome),
        }
    }

    /// Drops what was left to the drain; returns whether that was a start, with which the timer
    /// counts as armed.
    fn drop_pending(&self) -> Result<bool> {
        Ok(self.command.supersede()?.is_some_and(Op::is_start))
    }
}

/// The time that the callback of one timer waits for the cancellation of another.
struct Wait<'a> {
    target: &'a Timer,
}

impl<'a> Wait<'a> {
    /// Begins to wait for `target` in the callback of `own`; [`EDEADLK`] if that could close a
    /// circle of callbacks that wait for each other (R4).
    fn begin(own: &Timer, target: &'a Timer) -> Result<Self> {
        target.cancelling.fetch_add(1, Relaxed);
        let wait = Self { target };

        // Pairs with the same barrier in the callback that waits for us: of all callbacks in a
        // circle, the last to get here sees that its own timer is waited for.
        smp_mb(Full);
        if own.cancelling.load(Relaxed) != 0 {
            return Err(EDEADLK);
        }
        Ok(wait)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // Relaxed: a count that is still seen only makes another cancellation give up.
        self.target.cancelling.fetch_sub(1, Relaxed);
    }
}
