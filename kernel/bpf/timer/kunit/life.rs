// SPDX-License-Identifier: GPL-2.0-only

//! The death of a timer, and operations that still have a pointer to it.
//!
//! - R1: `expiry_of_a_dead_timer_calls_nothing`, `start_of_a_dead_timer_disarms_it_again`
//! - R6: `dead_timer_rejects_operations`
//! - H7: `failed_init_removes_only_its_own_timer`,
//!   `init_replaces_an_abandoned_timer`

use super::fixture::*;

use crate::{
    alarm::{
        Fit,
        For, //
    },
    start::Start, //
};

use kernel::{
    error::code,
    prelude::*,
    sync::rcu,
    time::hrtimer::soft::{
        SoftExpiry,
        SoftHrTimer,
        StartMode,
        TryCancel, //
    },
};

#[kunit_tests(bpf_timer_life)]
mod tests {
    use super::*;

    #[test]
    fn dying_timer_rejects_operations() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        let results = with_irqs_off(|| {
            place.start(MSEC, 0);
            place.free();
            (place.start(MSEC, 0), fixture.set_callback(place, 1))
        });
        assert_eq!(results, (errno(code::EINVAL), errno(code::EINVAL)));
        assert_eq!(fixture.prog_refs(1), 1);
        Ok(())
    }

    #[test]
    fn dead_timer_rejects_operations() -> Result {
        let (fixture, place) = Fixture::with_timer()?;
        let start = Start::new(MSEC, 0)?;
        let reader = rcu::read_lock();
        let timer = place.inner(&reader)?;

        // The drain, which drops the callback again, comes after this.
        let results = with_irqs_off(|| {
            place.free();
            let set = fixture.set_callback_late(timer);
            (set, timer.start(start), timer.try_cancel().err())
        });
        assert_eq!(results, (Ok(()), Err(code::ENOENT), Some(code::ENOENT)));
        assert_eq!(fixture.spin_for_prog_refs(0, 1), 1);
        assert_eq!(timer.map().err(), Some(code::ENOENT));
        assert_eq!(timer.start(start), Err(code::EINVAL));
        assert_eq!(timer.try_cancel().err(), Some(code::ENOENT));
        assert_eq!(timer.cancel(), Ok(TryCancel::Inactive));
        Ok(())
    }

    #[test]
    fn start_of_a_dead_timer_disarms_it_again() -> Result {
        let (fixture, place) = Fixture::with_timer()?;
        let reader = rcu::read_lock();
        let timer = place.inner(&reader)?;

        // Do what is left to do for a start that changed the word right before the death.
        assert_eq!(place.start(LATER, 0), 0);
        with_irqs_off(|| place.free());
        SoftHrTimer::start(timer.as_item(), i64::MAX, StartMode::ABSOLUTE);
        assert_eq!(timer.fit(timer.word.load(), For::Start), Fit::Made);
        assert!(!timer.hrtimer.is_queued());
        drop(reader);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn expiry_of_a_dead_timer_calls_nothing() -> Result {
        let (fixture, place) = Fixture::with_timer()?;
        let reader = rcu::read_lock();
        let timer = place.inner(&reader)?;

        let set = with_irqs_off(|| {
            place.free();
            let set = fixture.set_callback_late(timer);
            // SAFETY: `reader` is here, and with interrupts off nobody migrates.
            timer.expire(unsafe { SoftExpiry::assume() });
            set
        });
        assert_eq!(set, Ok(()));
        assert_eq!(place.runs(), 0);
        assert_eq!(fixture.spin_for_prog_refs(0, 1), 1);
        Ok(())
    }

    #[test]
    fn failed_init_removes_only_its_own_timer() -> Result {
        let (fixture, place) = Fixture::with_timer()?;
        let reader = rcu::read_lock();
        let old = place.inner(&reader)?;

        // `old` was admitted, so its init may not take it back.
        place.slot(&reader).take_back(old);
        assert!(!place.is_empty());
        assert_eq!(place.start(LATER, 0), 0);
        // `old` was freed, and another timer is in its place.
        place.free();
        fixture.prepare(place, MONOTONIC);
        place.slot(&reader).take_back(old);
        assert!(!place.is_empty());
        // The same, but `old` was freed between the two steps of `take_back()`.
        place.slot(&reader).remove(old);
        assert!(!place.is_empty());
        assert_eq!(place.start(MSEC, 0), 0);
        Ok(())
    }

    #[test]
    fn init_replaces_an_abandoned_timer() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.delete_element_for_a_moment();
        assert_eq!(fixture.init(place, MONOTONIC), errno(code::ENOENT));
        // The second init has made a timer, and this one can be used.
        assert_eq!(fixture.result_of_second_init(), 0);
        assert_eq!(fixture.init(place, MONOTONIC), errno(code::EBUSY));
        assert_eq!(fixture.set_callback(place, 0), 0);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }

    #[test]
    fn free_drops_the_program_before_the_drain() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        let refs = with_irqs_off(|| {
            place.free();
            fixture.prog_refs(0)
        });
        assert_eq!(refs, 1);
        Ok(())
    }

    #[test]
    fn free_cancels_and_drops_the_program() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.start(LATER, 0), 0);
        place.free();
        assert!(place.is_empty());
        assert_eq!(fixture.prog_refs(0), 1);
        assert_eq!(place.settle(), 0);
        // The slot can be used again.
        fixture.prepare(place, MONOTONIC);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }
}
