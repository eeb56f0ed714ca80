// SPDX-License-Identifier: GPL-2.0-only

//! Timers on the real-time clock.
//!
//! - The time of day: all

use super::{
    fixture::*,
    place::soon, //
};

use kernel::{
    error::code,
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

#[kunit_tests(bpf_timer_wall)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_timer_obeys_its_last_start() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place, REALTIME);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.start(soon(), ABSOLUTE), 0);
        assert_eq!(place.wait_for(1), 1);
        assert_eq!(place.start(i64::MAX as u64, ABSOLUTE), 0);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(2), 2);
        assert_eq!(place.settle(), 2);
        assert_eq!(place.cancel(), 0);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn wall_clock_timer_changes_base_in_its_callback() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        let starts_left = Atomic::new(4i32);
        let cancelled = Atomic::new(0);
        let try_cancelled = Atomic::new(0);
        let script = || {
            cancelled.store(place.cancel(), Relaxed);
            try_cancelled.store(place.try_cancel(), Relaxed);
            if starts_left.fetch_sub(1, Relaxed) > 0 {
                // The second of two starts puts off the first.
                place.start(MSEC, 0);
                place.start(soon(), ABSOLUTE);
            }
        };

        fixture.prepare(place, REALTIME);
        let results = place.with_script(&script, || {
            (place.start(MSEC, 0), place.wait_for(5), place.settle())
        });
        assert_eq!(results, (0, 5, 5));
        assert_eq!(cancelled.load(Relaxed), errno(code::EDEADLK));
        assert_eq!(try_cancelled.load(Relaxed), -1);
        // A start that another start has replaced does not count.
        assert_eq!(place.try_cancel(), 0);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.try_cancel(), 1);
        Ok(())
    }

    #[test]
    fn wall_clock_start_in_callback_yields_to_the_next() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place, REALTIME);
        // The first start in each of these callbacks is for soon, and on the base that expires.
        let start_relative_first = || {
            place.start(0, 0);
            place.start(i64::MAX as u64, ABSOLUTE);
        };
        let results = place.with_script(&start_relative_first, || {
            (place.start(MSEC, 0), place.wait_for(1), place.settle())
        });
        assert_eq!(results, (0, 1, 1));
        assert_eq!(place.try_cancel(), 1);

        let start_absolute_first = || {
            place.start(soon(), ABSOLUTE);
            place.start(LATER, 0);
        };
        let results = place.with_script(&start_absolute_first, || {
            (
                place.start(soon(), ABSOLUTE),
                place.wait_for(2),
                place.settle(),
            )
        });
        assert_eq!(results, (0, 2, 2));
        assert_eq!(place.try_cancel(), 1);
        Ok(())
    }
}
