// SPDX-License-Identifier: GPL-2.0

//! Waits with `PREEMPT_RT`: a caller blocks on the lock under which a CPU calls callbacks.
//!
//! A callback runs in a thread, and who waits for it may have preempted that thread. The lock lends
//! the thread the priority of who waits. It is one lock for all timers of a CPU, so
//!
//! - a wait is for a CPU;
//! - the callback of another timer may get the lock before the caller does. Who waits must not hold
//!   a lock that any callback may want.

use super::{
    Target,
    TimerId,
    WAITS_FOR, //
};
use crate::{
    bindings,
    cpu::CpuId,
    interrupt,
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        barrier::{
            smp_mb,
            Full, //
        },
    },
};

/// A wait for a callback that did not run when the wait was made known.
const NOT_YET: Target = Target(usize::MAX);

/// The depth while no callback is called.
const NO_CALLBACK: i32 = -1;

crate::define_per_cpu! {
    /// How deep RCU read-side sections are nested where the callback on this CPU is called.
    static CALLBACK_DEPTH: Atomic<i32> = Atomic::new(NO_CALLBACK);
}

/// Returns how deep RCU read-side sections are nested.
///
/// Who holds a `spinlock_t` is in such a section.
fn rcu_depth() -> i32 {
    // SAFETY: Callable in any context.
    unsafe { bindings::rcu_preempt_depth() }
}

fn target_of_cpu(cpu: u32) -> Target {
    Target(cpu as usize + 1)
}

/// Returns what a caller waits for if it waits for the callback of `timer`.
pub(super) fn target(timer: TimerId<'_>) -> Target {
    timer.expires_on().map_or(NOT_YET, target_of_cpu)
}

/// Returns the target of those who wait for the expiry that the caller is in; `None` if it is in
/// none. For softirq context.
pub(super) fn own_target() -> Option<Target> {
    // SAFETY: Callable in softirq context.
    let expires_here = unsafe { bindings::hrtimer_soft_expires_here() };

    // An expiry does not migrate.
    expires_here.then(|| target_of_cpu(CpuId::current().as_u32()))
}

/// Returns whether a caller that has not interrupted anybody may wait: whether it can be preempted
/// and holds no lock.
///
/// Programs that trace others are in an RCU read-side section. So a caller that may wait is a task
/// outside of such sections, or the callback of a timer itself.
pub(super) fn may_wait() -> bool {
    let depth = if interrupt::in_serving_softirq() && own_target().is_some() {
        // Relaxed: pairs with the stores in `call()`, on the same CPU and by the same task.
        CALLBACK_DEPTH.this_cpu().load(Relaxed)
    } else {
        0
    };

    interrupt::preemptible() && rcu_depth() == depth
}

/// Waits until the callback of one of `timers` has returned, or a callback before it.
///
/// If the caller is in an expiry, `own` is the target of those who wait for that expiry.
/// [`EDEADLK`] if such a wait and the caller's might be for each other.
pub(super) fn wait(timers: &[TimerId<'_>], own: Option<Target>) -> Result {
    let Some(cpu) = timers.iter().find_map(|timer| timer.expires_on()) else {
        // It has just returned.
        cpu_relax();
        return Ok(());
    };

    if let Some(own) = own {
        let here = WAITS_FOR.this_cpu();
        let target = target_of_cpu(cpu);

        if !here.contains(target) {
            here.set([target, NOT_YET].into_iter());
            // Pairs with the same barrier on other CPUs, and with the `fetch_add()` in
            // `CancelWait::scope_in_expiry()`: in a cycle of waits, the last CPU to get here sees
            // what all others wait for.
            smp_mb(Full);
            if WAITS_FOR.copies().any(|waits| waits.contains(own)) {
                return Err(EDEADLK);
            }
        }
    }
    // SAFETY: `expires_on()` has returned a CPU that expires timers. (Who calls this only where
    // `may_wait()` says so does not deadlock: the caller may block and holds no lock. If it is in
    // an expiry, its wait is known, and who would close a cycle of waits does not wait.)
    unsafe { bindings::hrtimer_soft_wait(cpu) };
    Ok(())
}

/// Calls the callback of a timer, in its expiry.
#[inline(always)]
pub(super) fn call(callback: impl FnOnce()) {
    // Relaxed: read on this CPU by the task that calls.
    CALLBACK_DEPTH.this_cpu().store(rcu_depth(), Relaxed);
    callback();
    // Relaxed: as above. An expiry does not migrate.
    CALLBACK_DEPTH.this_cpu().store(NO_CALLBACK, Relaxed);
}
