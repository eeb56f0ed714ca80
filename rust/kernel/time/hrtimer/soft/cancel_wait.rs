// SPDX-License-Identifier: GPL-2.0

//! Waits for callbacks, without deadlocks.

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

/// The most timers that one [`CancelWait`] can cover.
const WAIT_FOR: usize = 2;

/// The expiries that wait, on all CPUs. An expiry that finds none need not look at the other CPUs,
/// so what a wait costs does not grow with their number.
static WAITING: Waiting = Waiting(Atomic::new(0));

/// Other CPUs write this and [`WaitsFor`], or look at them, so each has a cache line of its own.
#[repr(align(64))]
struct Waiting(Atomic<i32>);

/// The timers that the expiry on a CPU waits for. Only that CPU writes them.
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
            // Relaxed: another CPU that still sees the old value gives up needlessly, which is
            // allowed.
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
/// A caller that is itself in the expiry of a soft timer, of any kind, must not wait for that
/// expiry, and two such callers must not wait for each other. So a caller makes its wait known
/// before it begins, and does not wait if another CPU waits for the caller's own expiry. It also
/// gives up if that other wait is about to end.
///
/// An expiry begins before the `hrtimer_expire_entry` tracepoint and ends after
/// `hrtimer_expire_exit`.
///
/// # Invariants
///
/// If the caller is in an expiry, its CPU has made known what this wait is for.
pub struct CancelWait(NotThreadSafe);

impl CancelWait {
    /// Calls `wait`, which may wait for the callbacks of `timers`, and returns its result. Returns
    /// [`EDEADLK`] instead if `wait` might never return.
    ///
    /// Only for task and softirq context with interrupts on. Makes the wait known before all that
    /// `wait` does. An expiry has one wait at a time: a tracing program that runs inside a wait
    /// cannot begin another one, because that would hide the outer one.
    #[inline]
    pub fn scope<const N: usize, R>(
        timers: [TimerId; N],
        wait: impl FnOnce(&Self) -> R,
    ) -> Result<R> {
        const { assert!(N > 0 && N <= WAIT_FOR) };

        // No timer expires in this context.
        if !interrupt::in_serving_softirq() {
            // INVARIANT: The caller is not in an expiry.
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
            // INVARIANT: The caller is not in an expiry.
            return Ok(wait(&Self(NotThreadSafe)));
        }
        // An expiry does not migrate.
        let here = WAITS_FOR.this_cpu();

        if !here.is_empty() {
            return Err(EDEADLK);
        }
        here.set(&timers);

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
// This is not inlined into modules, which cannot call the C function.
#[inline(never)]
pub(super) fn expiring_here() -> *mut bindings::hrtimer {
    // SAFETY: Callable in any context. Only this CPU writes the fields that it reads, in softirq.
    // Softirqs do not nest, so the result stays true while the caller is in one.
    unsafe { bindings::hrtimer_soft_expiring() }
}
