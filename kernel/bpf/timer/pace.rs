// SPDX-License-Identifier: GPL-2.0-only

//! The share of a CPU that its drain may take (R7).
//!
//! A program can start a timer in all that a deferred operation causes: in what the drain calls, in
//! the interrupt that the drain runs in, and in whatever another such program sets off. Then each
//! drain leads to the next one. An `irq_work` comes before all tasks and most other interrupts, so
//! the CPU would do nothing else.
//!
//! So a CPU has to rest from drains. A drain costs the time from the call that asked for it to its
//! end, which includes the interrupt. For each nanosecond of that, the CPU owes [`REST`]
//! nanoseconds without a drain. It may rest later: [`Pace`] counts how long. When the CPU owes more
//! than [`CREDIT`], drains pause for as long as it owes. For a drain that had to wait, a CPU owes
//! half of that at most: interrupts may have been off, or a virtual CPU away. A drain is short, so
//! a pause is not much longer than [`CREDIT`].
//!
//! In this way drains take a fifth of a CPU at most, whatever feeds them, and no operation is
//! refused. Programs that do not feed the drain rarely get there: a deferred operation costs a few
//! microseconds.

use kernel::{
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
    time::hrtimer::soft::ClockId, //
};

/// How long a CPU is to rest for each nanosecond of a drain.
const REST: i64 = 4;

/// How much rest a CPU may owe, in nanoseconds. On `PREEMPT_RT`, tasks do not wait for long.
const CREDIT: i64 = if cfg!(CONFIG_PREEMPT_RT) {
    1_000_000
} else {
    10_000_000
};

/// The pace of the drain of one CPU.
///
/// All accesses are Relaxed: only this CPU makes them, or, when it is dead, the CPU that does in
/// its place what it has left.
pub(crate) struct Pace {
    /// When the drain was asked for.
    asked: Atomic<i64>,
    /// When the drain before that ended.
    ended: Atomic<i64>,
    /// How much rest the CPU owes.
    owed: Atomic<i64>,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self {
            asked: Atomic::new(0),
            ended: Atomic::new(0),
            owed: Atomic::new(0),
        }
    }

    /// Notes that a drain is asked for. Callable in any context.
    pub(crate) fn ask(&self) {
        // Relaxed: as `Pace` says.
        self.asked.store(ClockId::Monotonic.now_fast(), Relaxed);
    }

    /// Notes that a drain begins. The next one may be asked for from here on.
    pub(crate) fn begin(&self) -> Begun {
        // Relaxed: as `Pace` says.
        let ended = self.ended.load(Relaxed);
        // Relaxed: as above. The drain before may have asked for this one.
        let asked = self.asked.load(Relaxed).max(ended);
        let now = ClockId::Monotonic.now_fast();

        Begun {
            rested: asked - ended,
            waited: now - asked,
            at: now,
        }
    }

    /// Notes that a drain has ended. Returns for how many nanoseconds drains have to pause, if so.
    pub(crate) fn end(&self, begun: Begun) -> Option<i64> {
        let now = ClockId::Monotonic.now_fast();
        let busy = cost_of(begun.waited, now - begun.at);
        // Relaxed: as `Pace` says.
        let owed = owed_after(self.owed.load(Relaxed), begun.rested, busy);

        // Relaxed: as above.
        self.ended.store(now, Relaxed);
        self.owed.store(owed, Relaxed);
        (owed > CREDIT).then_some(owed)
    }
}

/// A drain that has begun.
pub(crate) struct Begun {
    rested: i64,
    waited: i64,
    at: i64,
}

/// Returns what a drain costs that waited and then ran, each for a number of nanoseconds.
///
/// A clock that can be read in any context may go back a little. A time below zero counts as none.
fn cost_of(waited: i64, ran: i64) -> i64 {
    waited
        .clamp(0, CREDIT / REST / 2)
        .saturating_add(ran.max(0))
}

/// Returns what a CPU owes that owed `owed`, then rested, and then was busy with a drain.
fn owed_after(owed: i64, rested: i64, busy: i64) -> i64 {
    let owed = owed.saturating_sub(rested).max(0);

    owed.saturating_add(busy.saturating_mul(REST))
}

// R7: all.
#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
#[kernel::macros::kunit_tests(bpf_timer_pace)]
mod tests {
    use super::*;

    /// Repeats to rest for `rested` nanoseconds and to drain for `busy`. Returns the time until
    /// drains have to pause, and the length of the pause; `None` if they need not pause.
    fn pause_of(rested: i64, busy: i64) -> Option<(i64, i64)> {
        let mut owed = 0;

        for count in 1..=100_000 {
            owed = owed_after(owed, rested, busy);
            if owed > CREDIT {
                return Some((count * (rested + busy), owed));
            }
        }
        None
    }

    #[test]
    fn rare_drains_do_not_pause() {
        assert_eq!(pause_of(1_000_000, 2_000), None);
        // A fifth of the time.
        assert_eq!(pause_of(8_000, 2_000), None);
    }

    #[test]
    fn drains_in_a_row_leave_most_of_the_time() {
        for rested in [0, 500, 2_000] {
            assert!(pause_of(rested, 2_000).is_some_and(|(on, off)| on > CREDIT / 10 && on < off));
        }
    }

    #[test]
    fn one_long_drain_is_paid_for() {
        assert_eq!(pause_of(0, CREDIT), Some((CREDIT, CREDIT * REST)));
    }

    #[test]
    fn one_long_wait_does_not_pause() {
        let busy = cost_of(i64::MAX, 1_000);

        assert!(owed_after(0, 0, busy) <= CREDIT);
        assert_eq!(pause_of(0, busy), Some((busy * 2, busy * 2 * REST)));
        assert_eq!(cost_of(1_000, 2_000), 3_000);
    }

    #[test]
    fn rest_is_not_saved() {
        assert_eq!(owed_after(100, 1_000, 10), 10 * REST);
    }

    #[test]
    fn clocks_that_go_back_count_as_no_time() {
        assert_eq!(cost_of(-1, -1), 0);
    }

    #[test]
    fn times_do_not_overflow() {
        assert_eq!(owed_after(i64::MAX, 0, i64::MAX), i64::MAX);
    }
}
