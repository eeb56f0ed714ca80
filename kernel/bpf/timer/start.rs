// SPDX-License-Identifier: GPL-2.0-only

//! Starting a timer.

use crate::{
    alarm::{
        Fit,
        For, //
    },
    timer::{
        steady,
        TimerPtr, //
    },
    trace,
    word::{
        Time,
        Wish, //
    }, //
};

use kernel::{
    bindings,
    prelude::*,
    time::hrtimer::soft::ClockId, //
};

use core::num::NonZero;

/// The arguments of `bpf_timer_start()`.
///
/// # Invariants
///
/// `flags` are of those that `bpf_timer_start()` knows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Nanoseconds from now on or, if absolute, on the clock of the timer.
    nsecs: u64,
    flags: u64,
}

impl Start {
    const ABSOLUTE: u64 = bindings::BPF_F_TIMER_ABS as u64;
    const PINNED: u64 = bindings::BPF_F_TIMER_CPU_PIN as u64;

    /// Takes the flags of `bpf_timer_start()`; [`EINVAL`] if one is not known.
    #[inline]
    pub(crate) fn new(nsecs: u64, flags: u64) -> Result<Self> {
        if flags & !(Self::ABSOLUTE | Self::PINNED) != 0 {
            return Err(EINVAL);
        }
        // INVARIANT: Checked above.
        Ok(Self { nsecs, flags })
    }

    /// Returns when a timer on `clock` is to expire that is started now. `read` reads a clock.
    ///
    /// A relative start is for `nsecs` from now on. On the real-time clock, setting the clock does
    /// not move it, so its time is on the monotonic clock.
    ///
    /// An absolute start for now or before is one for now. The softirq takes the time once and
    /// expires all that is due by then. A callback that could arm a timer for before that would be
    /// called again by the same softirq, which would never come to an end (H10).
    #[inline(always)]
    pub(crate) fn wish(self, clock: ClockId, read: impl Fn(ClockId) -> i64) -> Wish {
        // A nanosecond more or less makes no difference, but a time is not zero.
        let now = |clock| read(clock) as u64 | NonZero::<u64>::MIN;
        let pinned = self.flags & Self::PINNED != 0;
        let mut from_now_on = self.nsecs;

        if self.flags & Self::ABSOLUTE != 0 {
            if let Some(nsecs) = NonZero::new(self.nsecs).filter(|&nsecs| nsecs > now(clock)) {
                return Wish::new(Time::not_before(nsecs), clock == ClockId::RealTime, pinned);
            }
            from_now_on = 0;
        }
        let nsecs = now(steady(clock)).saturating_add(from_now_on);

        Wish::new(Time::not_before(nsecs), false, pinned)
    }
}

impl TimerPtr<'_> {
    /// Arms the timer, or moves it. Callable in any context.
    ///
    /// [`EINVAL`] if it has no callback or is being made, [`ENOENT`] if it is dead.
    #[inline]
    pub(crate) fn start(self, start: Start) -> Result {
        if trace::start_is_on() {
            return trace::start(self, start.nsecs, start.flags, move || {
                self.start_and_fit(start)
            });
        }
        self.start_and_fit(start).0
    }

    /// Does what [`Self::start`] does; also returns whether the alarms fitted already.
    #[inline(always)]
    fn start_and_fit(self, start: Start) -> (Result, bool) {
        if !self.callback.is_set() {
            return (self.start_without_callback(), false);
        }
        // A program reads the same clock, so that it does not find the timer early.
        let wish = start.wish(self.clock(), ClockId::now_fast);
        let word = match self.word.want(wish) {
            Ok(word) => word,
            Err(error) => return (Err(error), false),
        };

        if !self.callback.is_set() && !self.keeps(wish) {
            self.fit_again();
            return (Err(EINVAL), false);
        }
        (Ok(()), self.fit(word, For::Start) == Fit::Already)
    }

    #[cold]
    fn start_without_callback(self) -> Result {
        match self.find() {
            Ok(None) => Ok(()),
            _ => Err(EINVAL),
        }
    }

    /// Takes a start back if a cancellation has dropped its callback during the call. Returns false
    /// if it did; the start has failed then.
    #[cold]
    fn keeps(self, wish: Wish) -> bool {
        loop {
            // If somebody else has taken the time, that came after the start.
            if !self.word.take_if(wish) {
                return true;
            }
            if !self.callback.is_set() {
                return false;
            }
            // A callback was set since, and the time may be that of another start.
            if self.word.want(wish).is_err() || self.callback.is_set() {
                return true;
            }
        }
    }
}

// The time of day, and H10: `absolute_start_that_is_due_is_for_now`.
#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
#[kunit_tests(bpf_timer_start)]
mod tests {
    use super::*;

    const NOW: i64 = 1_001;

    fn read(clock: ClockId) -> i64 {
        match clock {
            ClockId::RealTime => 1_000_001,
            _ => NOW,
        }
    }

    fn wish(nsecs: u64, flags: u64, clock: ClockId) -> Result<Wish> {
        Ok(Start::new(nsecs, flags)?.wish(clock, read))
    }

    fn at(nsecs: u64, wall: bool, pinned: bool) -> Wish {
        Wish::new(Time::at(nsecs), wall, pinned)
    }

    #[test]
    fn relative_start_is_on_a_clock_that_is_not_set() -> Result {
        for clock in [ClockId::Monotonic, ClockId::BootTime, ClockId::RealTime] {
            assert_eq!(wish(0, 0, clock)?, at(1_001, false, false));
            assert_eq!(wish(600, Start::PINNED, clock)?, at(1_601, false, true));
            for never in [i64::MAX as u64, 1 << 63, u64::MAX] {
                assert_eq!(wish(never, 0, clock)?, at(u64::MAX, false, false));
            }
        }
        Ok(())
    }

    #[test]
    fn absolute_start_that_is_due_is_for_now() -> Result {
        for nsecs in [0, 1, 1_000, 1_001] {
            let due = wish(nsecs, Start::ABSOLUTE, ClockId::Monotonic)?;
            assert_eq!(due, at(1_001, false, false));
            let due = wish(nsecs, Start::ABSOLUTE, ClockId::RealTime)?;
            assert_eq!(due, at(1_001, false, false));
        }
        let due = wish(1_000_001, Start::ABSOLUTE, ClockId::RealTime)?;
        assert_eq!(due, at(1_001, false, false));
        Ok(())
    }

    #[test]
    fn absolute_start_is_on_its_clock() -> Result {
        let flags = Start::ABSOLUTE | Start::PINNED;

        assert_eq!(
            wish(1_002, flags, ClockId::BootTime)?,
            at(1_002, false, true)
        );
        assert_eq!(
            wish(1_000_002, flags, ClockId::RealTime)?,
            at(1_000_002, true, true)
        );
        assert_eq!(
            wish(u64::MAX, flags, ClockId::RealTime)?,
            at(u64::MAX, true, true)
        );
        Ok(())
    }

    #[test]
    fn unknown_flags_are_refused() {
        for flags in [4, 8, 1 << 63] {
            assert_eq!(Start::new(0, flags).err(), Some(EINVAL));
        }
    }
}
