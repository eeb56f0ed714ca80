// SPDX-License-Identifier: GPL-2.0

//! Waits for callbacks that are not for ever.

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

use core::ptr;

/// How many timers one [`CancelWait`] can be for: as many as have been wanted yet.
const WAIT_FOR: usize = 2;

/// The expiries that wait, on all CPUs. An expiry that finds none need not look at the other CPUs,
/// so what a wait costs does not grow with their number.
static WAITING: Waiting = Waiting(Atomic::new(0));

/// Has a cache line to itself, like what a CPU waits for: other CPUs write it, or look at it.
#[repr(align(64))]
struct Waiting(Atomic<i32>);

/// What the expiry that runs on a CPU waits for. Only written on that CPU.
#[repr(align(64))]
struct WaitsFor([Atomic<*mut bindings::hrtimer>; WAIT_FOR]);

crate::define_per_cpu! {
    static WAITS_FOR: WaitsFor = WaitsFor([const { Atomic::new(ptr::null_mut()) }; WAIT_FOR]);
}

impl WaitsFor {
    fn set(&self, timers: &[TimerId]) {
        for (slot, timer) in self.0.iter().zip(timers) {
            // Relaxed: see `CancelWait::scope_in_softirq()`.
            slot.store(timer.0, Relaxed);
        }
    }

    fn clear(&self) {
        for slot in &self.0 {
            // Relaxed: another CPU that still sees the old value only gives up for no need.
            slot.store(ptr::null_mut(), Relaxed);
        }
    }

    fn contains(&self, timer: *mut bindings::hrtimer) -> bool {
        // Relaxed: see `CancelWait::scope_in_softirq()`.
        self.0.iter().any(|slot| slot.load(Relaxed) == timer)
    }

    fn is_empty(&self) -> bool {
        // Relaxed: only asked on the CPU that writes them.
        self.0.iter().all(|slot| slot.load(Relaxed).is_null())
    }
}

/// Says that the caller may wait for the callbacks of some timers to end.
///
/// A caller that is itself in the expiry of a soft timer, of whatever kind, must not wait for that,
/// and two such callers must not wait for each other. So a wait is made known before it begins, and
/// does not begin if the caller's own expiry is being waited for. That is more careful than need be
/// when the other one is about to get what it waits for.
///
/// An expiry is all that goes on from before the `hrtimer_expire_entry` tracepoint until after
/// `hrtimer_expire_exit`.
///
/// # Invariants
///
/// If the caller is in an expiry, its CPU has made known what this wait is for.
pub struct CancelWait(NotThreadSafe);

impl CancelWait {
    /// Calls `wait`, which may wait for the callbacks of `timers`, and returns what it does;
    /// [`EDEADLK`], without calling it, if that could be for ever.
    ///
    /// Only for task and softirq context with interrupts on. Orders what it makes known before all
    /// that `wait` does. In an expiry, there is one wait at a time: what is called in the course of
    /// a wait, by tracepoints say, cannot begin another, which would hide the outer one.
    #[inline]
    pub fn scope<const N: usize, R>(
        timers: [TimerId; N],
        wait: impl FnOnce(&Self) -> R,
    ) -> Result<R> {
        const { assert!(N > 0 && N <= WAIT_FOR) };

        // Where no timer expires.
        if !interrupt::in_serving_softirq() {
            // INVARIANT: Not in an expiry.
            return Ok(wait(&Self(NotThreadSafe)));
        }
        Self::scope_in_softirq(timers, wait)
    }

    #[cold]
    fn scope_in_softirq<const N: usize, R>(
        timers: [TimerId; N],
        wait: impl FnOnce(&Self) -> R,
    ) -> Result<R> {
        let own = expiring_here();
        if own.is_null() {
            // INVARIANT: Not in an expiry.
            return Ok(wait(&Self(NotThreadSafe)));
        }
        // An expiry does not migrate.
        let here = WAITS_FOR.this_cpu();

        if !here.is_empty() {
            return Err(EDEADLK);
        }
        here.set(&timers);

        // Full: `set()` comes before, and what others have made known after. Pairs with the same
        // `fetch_add()` on the CPUs that wait for us: of all expiries in a circle, of which the
        // smallest is one that waits for itself, the last to get here finds that others wait, and
        // sees what they have made known. It sees its own, too.
        let others_wait = WAITING.0.fetch_add(1, Full) > 0;
        let is_awaited = here.contains(own)
            || others_wait && WAITS_FOR.copies().any(|waits| waits.contains(own));
        let result = if is_awaited {
            Err(EDEADLK)
        } else {
            // INVARIANT: Made known above, and until `wait` returns.
            Ok(wait(&Self(NotThreadSafe)))
        };
        // Release: the wait comes before. Pairs with the `fetch_add()` of an expiry that finds
        // nobody waiting, and may wait for this one.
        WAITING.0.fetch_sub(1, Release);
        here.clear();
        result
    }
}

/// Returns the soft timer that expires on this CPU, or null; only for softirq context.
// Not inlined, as modules cannot call what it calls.
#[inline(never)]
pub(super) fn expiring_here() -> *mut bindings::hrtimer {
    // SAFETY: Callable in any context. What it reads is only written by this CPU in softirq, which
    // does not nest, so in softirq the result does not change under its reader.
    unsafe { bindings::hrtimer_soft_expiring() }
}
