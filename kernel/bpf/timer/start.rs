// SPDX-License-Identifier: GPL-2.0-only

//! When a timer is to expire, as programs say it.

use crate::word::{
    Time,
    Wish, //
};

use kernel::{
    bindings,
    prelude::*,
    time::hrtimer::dynamic::ClockId, //
};

/// The last time that a clock can tell, in nanoseconds.
const KTIME_MAX: u64 = i64::MAX as u64;

/// Returns the clock for times from now on, which setting a clock must not move.
pub(crate) fn steady(clock: ClockId) -> ClockId {
    match clock {
        ClockId::RealTime => ClockId::Monotonic,
        steady => steady,
    }
}

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

    #[inline]
    pub(crate) fn nsecs(self) -> u64 {
        self.nsecs
    }

    #[inline]
    pub(crate) fn flags(self) -> u64 {
        self.flags
    }

    /// Returns when a timer on `clock` is to expire that is started now. `read` reads a clock.
    ///
    /// A relative start is for `nsecs` from now on. On the real-time clock, setting the clock does
    /// not move it, so its time is on the monotonic clock.
    ///
    /// An absolute start for now or before is one for now. The softirq takes the time once and
    /// expires all that is due by then. A callback that could arm a timer for before that would be
    /// called again by the same softirq, which would never come to an end (H10).
    #[inline]
    pub(crate) fn wish(self, clock: ClockId, read: impl Fn(ClockId) -> i64) -> Wish {
        let pinned = self.flags & Self::PINNED != 0;
        if self.flags & Self::ABSOLUTE != 0 {
            let now = read(clock) as u64;

            if self.nsecs > now {
                return Wish {
                    time: Time::not_before(self.nsecs),
                    wall: clock == ClockId::RealTime,
                    pinned,
                };
            }
        }
        let from_now_on = if self.flags & Self::ABSOLUTE != 0 {
            0
        } else {
            self.nsecs.min(KTIME_MAX)
        };

        Wish {
            time: Time::not_before((read(steady(clock)) as u64).saturating_add(from_now_on)),
            wall: false,
            pinned,
        }
    }
}

#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
#[kunit_tests(bpf_timer_start)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000;

    fn read(clock: ClockId) -> i64 {
        match clock {
            ClockId::RealTime => 1_000_000,
            _ => NOW,
        }
    }

    fn wish(nsecs: u64, flags: u64, clock: ClockId) -> Result<(i64, bool, bool)> {
        let wish = Start::new(nsecs, flags)?.wish(clock, read);

        Ok((wish.time.nsecs(), wish.wall, wish.pinned))
    }

    #[test]
    fn relative_start_is_on_a_clock_that_is_not_set() -> Result {
        for clock in [ClockId::Monotonic, ClockId::BootTime, ClockId::RealTime] {
            assert_eq!(wish(0, 0, clock)?, (1_008, false, false));
            assert_eq!(wish(600, Start::PINNED, clock)?, (1_600, false, true));
            for never in [KTIME_MAX, KTIME_MAX + 1, u64::MAX] {
                assert_eq!(wish(never, 0, clock)?, (i64::MAX & !15, false, false));
            }
        }
        Ok(())
    }

    #[test]
    fn absolute_start_that_is_due_is_for_now() -> Result {
        for nsecs in [0, 1, 999, 1_000] {
            let due = wish(nsecs, Start::ABSOLUTE, ClockId::Monotonic)?;
            assert_eq!(due, (1_008, false, false));
            let due = wish(nsecs, Start::ABSOLUTE, ClockId::RealTime)?;
            assert_eq!(due, (1_008, false, false));
        }
        let due = wish(1_000_000, Start::ABSOLUTE, ClockId::RealTime)?;
        assert_eq!(due, (1_008, false, false));
        Ok(())
    }

    #[test]
    fn absolute_start_is_on_its_clock() -> Result {
        let flags = Start::ABSOLUTE | Start::PINNED;

        assert_eq!(wish(1_001, flags, ClockId::BootTime)?, (1_008, false, true));
        assert_eq!(
            wish(1_000_001, flags, ClockId::RealTime)?,
            (1_000_016, true, true)
        );
        assert_eq!(
            wish(u64::MAX, flags, ClockId::RealTime)?,
            (i64::MAX & !15, true, true)
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
