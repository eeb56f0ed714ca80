// SPDX-License-Identifier: GPL-2.0

//! Waits for callbacks, without deadlocks.

#[cfg(CONFIG_PREEMPT_RT)]
mod block;
#[cfg(not(CONFIG_PREEMPT_RT))]
mod spin;

#[cfg(CONFIG_PREEMPT_RT)]
use block as backend;
#[cfg(not(CONFIG_PREEMPT_RT))]
use spin as backend;

use super::TimerId;
use crate::{
    bindings,
    interrupt,
    prelude::*,
    sync::atomic::{
        ordering::{
            Full,
            Relaxed,
            Release, //
        },
        Atomic, //
    },
    types::NotThreadSafe, //
};

/// The most timers that one [`CancelWait`] can cover.
const WAIT_FOR: usize = 2;

/// The expiries that wait, on all CPUs. An expiry that finds none need not look at the other CPUs,
/// so what a wait costs does not grow with their number.
static WAITING: Waiting = Waiting(Atomic::new(0));

/// Other CPUs write this and [`WaitsFor`], or look at them, so each has a cache line of its own.
#[repr(align(64))]
struct Waiting(Atomic<i32>);

/// What an expiry waits for, as a number: a timer or, on `PREEMPT_RT`, a CPU.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Target(usize);

impl Target {
    const NOTHING: Self = Self(0);
}

/// What the expiry on a CPU waits for. Only that CPU writes it.
#[repr(align(64))]
struct WaitsFor([Atomic<usize>; WAIT_FOR]);

crate::define_per_cpu! {
    static WAITS_FOR: WaitsFor = WaitsFor([const { Atomic::new(Target::NOTHING.0) }; WAIT_FOR]);
}

impl WaitsFor {
    fn set(&self, targets: impl Iterator<Item = Target>) {
        for (slot, target) in self.0.iter().zip(targets) {
            // Relaxed: see `CancelWait::scope_in_expiry()`.
            slot.store(target.0, Relaxed);
        }
    }

    fn clear(&self) {
        for slot in &self.0 {
            // Relaxed: another CPU that still sees the old value gives up needlessly, which is
            // allowed.
            slot.store(Target::NOTHING.0, Relaxed);
        }
    }

    fn contains(&self, target: Target) -> bool {
        // Relaxed: see `CancelWait::scope_in_expiry()`.
        self.0.iter().any(|slot| slot.load(Relaxed) == target.0)
    }

    fn is_empty(&self) -> bool {
        // Relaxed: only asked on the CPU that writes them.
        self.0
            .iter()
            .all(|slot| slot.load(Relaxed) == Target::NOTHING.0)
    }
}

/// Says that the caller may wait for the callbacks of some timers to end.
///
/// A caller that is itself in the expiry of a soft timer must not wait for that expiry, and two
/// such callers must not wait for each other. So a caller makes its wait known before it begins,
/// and does not wait if another CPU waits for the caller's own expiry. It also gives up if that
/// other wait is about to end. On `PREEMPT_RT`, it gives up if another CPU waits for any timer that
/// expires on the caller's CPU. Only waits of this kind are known, and not those in
/// `hrtimer_cancel()`.
///
/// An expiry begins before the `hrtimer_expire_entry` tracepoint and ends after
/// `hrtimer_expire_exit`.
///
/// # Invariants
///
/// - If the caller is in an expiry, `own` is the target of those who wait for that expiry.
/// - In that case, the caller's CPU has made known what this wait is for. On `PREEMPT_RT`, it has
///   done so for the timers whose callback ran when the wait began.
pub struct CancelWait<'a> {
    timers: &'a [TimerId<'a>],
    own: Option<Target>,
    _on_this_cpu: NotThreadSafe,
}

impl CancelWait<'_> {
    /// Returns whether this context may wait: task and softirq context with interrupts on.
    ///
    /// On `PREEMPT_RT`, a caller that waits blocks, and must not hold a lock that the callback of
    /// any soft timer may take. Holders of such locks are readers of RCU. So the caller must be
    /// preemptible, and either a task that is not a reader of RCU, or the callback of a
    /// [`SoftHrTimer`] that has not entered a read-side section of its own.
    ///
    /// [`SoftHrTimer`]: super::SoftHrTimer
    #[inline]
    pub fn may_wait() -> bool {
        !interrupt::irqs_disabled() && !interrupt::in_hardirq() && backend::may_wait()
    }

    /// Calls `wait`, which may wait for the callbacks of `timers` by [`Self::relax`], and returns
    /// its result. Returns [`EDEADLK`] instead if `wait` might never return.
    ///
    /// Only where [`Self::may_wait`] says so. Makes the wait known before all that `wait` does. An
    /// expiry has one wait at a time: a tracing program that runs inside a wait cannot begin
    /// another one, because that would hide the outer one.
    #[inline]
    pub fn scope<const N: usize, R>(
        timers: [TimerId<'_>; N],
        wait: impl FnOnce(&CancelWait<'_>) -> Result<R>,
    ) -> Result<R> {
        const { assert!(N > 0 && N <= WAIT_FOR) };

        // No timer expires in a context that does not serve softirqs.
        if interrupt::in_serving_softirq() {
            if let Some(own) = backend::own_target() {
                return Self::scope_in_expiry(&timers, own, wait);
            }
        }
        // INVARIANT: The caller is not in an expiry.
        wait(&CancelWait {
            timers: &timers,
            own: None,
            _on_this_cpu: NotThreadSafe,
        })
    }

    #[cold]
    fn scope_in_expiry<R>(
        timers: &[TimerId<'_>],
        own: Target,
        wait: impl FnOnce(&CancelWait<'_>) -> Result<R>,
    ) -> Result<R> {
        // An expiry does not migrate.
        let here = WAITS_FOR.this_cpu();

        if !here.is_empty() {
            return Err(EDEADLK);
        }
        here.set(timers.iter().copied().map(backend::target));

        // Full: `set()` comes before, and the loads of what others wait for come after. Pairs with
        // the same `fetch_add()` on the CPUs that wait for us. In a cycle of waits, the last CPU to
        // get here finds that others wait, and sees what all of them wait for. A wait for itself is
        // a cycle of one: this CPU sees its own `set()`.
        let others_wait = WAITING.0.fetch_add(1, Full) > 0;
        let is_awaited = here.contains(own)
            || others_wait && WAITS_FOR.copies().any(|waits| waits.contains(own));
        let result = if is_awaited {
            Err(EDEADLK)
        } else {
            // INVARIANT: `set()` has made the wait known, until `wait` returns.
            wait(&CancelWait {
                timers,
                own: Some(own),
                _on_this_cpu: NotThreadSafe,
            })
        };
        // Release: the wait comes before. Pairs with the `fetch_add()` of an expiry that finds
        // nobody waiting, and may wait for this one.
        WAITING.0.fetch_sub(1, Release);
        here.clear();
        result
    }

    /// Waits for a callback of the timers to return, or for less. The caller looks again then.
    ///
    /// On `PREEMPT_RT`, this lends the caller's priority to who runs the callback. It fails with
    /// [`EDEADLK`] there if a callback has begun since the wait did, or has begun on another CPU,
    /// and this might never return.
    #[inline]
    pub fn relax(&self) -> Result {
        backend::wait(self.timers, self.own)
    }
}

/// Calls the callback of a timer, in its expiry.
#[inline(always)]
pub(super) fn call(callback: impl FnOnce()) {
    backend::call(callback);
}

/// Returns the soft timer that the caller expires, or null; only for softirq context.
// This is not inlined into modules, which cannot call the C function.
#[inline(never)]
pub(super) fn expiring_here() -> *mut bindings::hrtimer {
    // SAFETY: Callable in softirq context. Only who expires timers on this CPU writes the fields
    // that it reads, so the result stays true while the caller is in an expiry.
    unsafe { bindings::hrtimer_soft_expiring() }
}
