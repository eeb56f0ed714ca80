// SPDX-License-Identifier: GPL-2.0-only

//! Timers on the real-time clock, for the section on the time of day.

use super::{
    fixture::*,
    place::soon, //
};

use kernel::{
    error::code,
    prelude::*,
    sync::atomic::ordering::Relaxed, //
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

        place.note(0).store(4, Relaxed);
        place.on_expiry(|place| {
            place.note(1).store(place.cancel() as i64, Relaxed);
            place.note(2).store(place.try_cancel().into(), Relaxed);
            if place.note(0).fetch_sub(1, Relaxed) > 0 {
                // The first of two starts is put off by the second.
                place.start(MSEC, 0);
                place.start(soon(), ABSOLUTE);
            }
        });
        fixture.prepare(place, REALTIME);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(5), 5);
        assert_eq!(place.settle(), 5);
        assert_eq!(place.note(1).load(Relaxed) as u64, errno(code::EDEADLK));
        assert_eq!(place.note(2).load(Relaxed), -1);
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
        // The first start of each two is for soon, and on the base that expires.
        place.on_expiry(|place| {
            place.start(0, 0);
            place.start(i64::MAX as u64, ABSOLUTE);
        });
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        assert_eq!(place.settle(), 1);
        assert_eq!(place.try_cancel(), 1);

        place.on_expiry(|place| {
            place.start(soon(), ABSOLUTE);
            place.start(LATER, 0);
        });
        assert_eq!(place.start(soon(), ABSOLUTE), 0);
        assert_eq!(place.wait_for(2), 2);
        assert_eq!(place.settle(), 2);
        assert_eq!(place.try_cancel(), 1);
        Ok(())
    }
}
