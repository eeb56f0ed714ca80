// SPDX-License-Identifier: GPL-2.0-only

//! What `bpf_timer_info()` says.

use super::{
    fixture::{
        with_irqs_off,
        Fixture,
        ABSOLUTE,
        BOOTTIME,
        LATER,
        MONOTONIC,
        PINNED,
        REALTIME, //
    },
    place::Place,
};

use kernel::{
    bindings::{
        bpf_timer_info,
        bpf_timer_info_flags_BPF_TIMER_ARMED as ARMED,
        bpf_timer_info_flags_BPF_TIMER_PINNED as IS_PINNED, //
    },
    prelude::*,
    sync::rcu, //
};

fn info(place: Place) -> Result<bpf_timer_info> {
    let reader = rcu::read_lock();

    place.inner(&reader)?.info()
}

#[kunit_tests(bpf_timer_info)]
mod tests {
    use super::*;

    #[test]
    fn info_of_an_idle_timer_has_its_clock() -> Result {
        for (clock, steady) in [
            (MONOTONIC, MONOTONIC),
            (BOOTTIME, BOOTTIME),
            (REALTIME, MONOTONIC),
        ] {
            let fixture = Fixture::new()?;
            let place = fixture.element();

            assert_eq!(info(place).err(), Some(EINVAL));
            assert_eq!(fixture.init(place, clock), 0);
            let info = info(place)?;
            assert_eq!((info.expires, info.remaining), (0, 0));
            assert_eq!((info.flags, info.cpu), (0, -1));
            assert_eq!(u64::from(info.clockid), steady);
        }
        Ok(())
    }

    #[test]
    fn info_of_an_armed_timer_has_its_time() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.start(LATER, 0), 0);
        let armed = info(place)?;
        assert_eq!(armed.flags, ARMED);
        assert_eq!(armed.expires as i64, place.alarm()?);
        assert!(armed.remaining <= LATER + 16 && armed.remaining > LATER / 2);
        assert!(armed.cpu >= 0);

        // The alarm stays where it is.
        assert_eq!(place.start(2 * LATER, 0), 0);
        assert!(info(place)?.remaining > LATER + 16);

        assert_eq!(place.start(LATER, PINNED), 0);
        assert_eq!(info(place)?.flags, ARMED | IS_PINNED);

        assert_eq!(place.try_cancel(), 1);
        assert_eq!((info(place)?.expires, info(place)?.cpu), (0, -1));
        Ok(())
    }

    #[test]
    fn info_of_a_deferred_start_has_no_cpu() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        let deferred = with_irqs_off(|| {
            place.start(LATER, 0);
            info(place)
        })?;
        assert_eq!((deferred.flags, deferred.cpu), (ARMED, -1));
        assert!(info(place)?.cpu >= 0);
        Ok(())
    }

    #[test]
    fn info_of_an_absolute_wall_clock_start_is_on_that_clock() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place, REALTIME);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(u64::from(info(place)?.clockid), MONOTONIC);
        assert_eq!(place.start(i64::MAX as u64, ABSOLUTE), 0);
        let wall = info(place)?;
        assert_eq!(u64::from(wall.clockid), REALTIME);
        assert_eq!(wall.expires, i64::MAX as u64 - 15);
        assert!(wall.cpu >= 0);
        Ok(())
    }

    #[test]
    fn dead_timer_has_no_info() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.start(LATER, 0), 0);
        let of_dead = {
            let reader = rcu::read_lock();
            let timer = place.inner(&reader)?;

            place.free();
            timer.info().err()
        };
        assert_eq!(of_dead, Some(ENOENT));
        assert_eq!(info(place).err(), Some(EINVAL));
        Ok(())
    }
}
