// SPDX-License-Identifier: GPL-2.0-only

//! The arguments of the callback, and its operations on timers.
//!
//! - R1: `callback_can_free_its_own_timer`
//! - R4: `callback_cannot_cancel_its_own_timer`, `callback_can_cancel_others`
//! - H10: `callback_start_in_the_past_expires_now`
//! - Look, act, look again: `timer_that_is_*`, `cancelled_timer_is_not_left_queued`

use super::fixture::*;

use kernel::{
    bindings,
    bpf::{
        Element,
        Map, //
    },
    error::code,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        rcu, //
    },
    time::{
        ClockSource,
        Monotonic, //
    }, //
};

use core::ptr::NonNull;

#[kunit_tests(bpf_timer_expiry)]
mod tests {
    use super::*;

    #[test]
    fn expiry_calls_with_the_key_of_a_hash() -> Result {
        for kind in [
            bindings::bpf_map_type_BPF_MAP_TYPE_HASH,
            bindings::bpf_map_type_BPF_MAP_TYPE_LRU_HASH,
            bindings::bpf_map_type_BPF_MAP_TYPE_RHASH,
        ] {
            let mut fixture = Fixture::new()?;
            fixture.element.key[0] = 4711;
            fixture.set_kind(kind, 4);
            let place = fixture.element();

            fixture.prepare(place, MONOTONIC);
            assert_eq!(place.start(MSEC, 0), 0);
            assert_eq!(place.wait_for(1), 1);
            assert_eq!(place.value().key.load(Relaxed), 4711);
            assert_eq!(place.value().map.load(Relaxed), fixture.map() as i64);
            // It fires once, and can be started again.
            assert_eq!(place.settle(), 1);
            assert_eq!(place.start(0, 0), 0);
            assert_eq!(place.wait_for(2), 2);
        }
        Ok(())
    }

    #[test]
    fn key_of_a_hash_is_padded_to_eight_bytes() -> Result {
        let fixture = Fixture::new()?;
        let value = NonNull::from(fixture.element().value()).cast();
        let _reader = rcu::read_lock();

        for (key_size, padded) in [(1, 8), (7, 8), (8, 8), (9, 16), (20, 24)] {
            fixture.set_kind(bindings::bpf_map_type_BPF_MAP_TYPE_HASH, key_size);
            // SAFETY: The map and the value of its element are valid, and the fixture keeps both.
            let element = unsafe { Element::from_value(Map::from_raw(fixture.map()), value) };
            assert_eq!(value.addr().get() - element.key(&mut 0).addr(), padded);
        }
        Ok(())
    }

    #[test]
    fn expiry_calls_with_the_index_of_an_array() -> Result {
        let fixture = Fixture::new()?;
        fixture.set_kind(bindings::bpf_map_type_BPF_MAP_TYPE_ARRAY, 4);

        for (index, place) in fixture.elements_of_array().into_iter().enumerate() {
            fixture.prepare(place, MONOTONIC);
            assert_eq!(place.start(MSEC, 0), 0);
            assert_eq!(place.wait_for(1), 1);
            assert_eq!(place.value().key.load(Relaxed), index as i64);
        }
        Ok(())
    }

    #[test]
    fn callback_can_start_its_own_timer() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        let starts_left = Atomic::new(4i32);
        let script = || {
            if starts_left.fetch_sub(1, Relaxed) > 0 {
                place.start(MSEC, 0);
            }
        };

        let results = place.with_script(&script, || {
            (place.start(MSEC, 0), place.wait_for(5), place.settle())
        });
        assert_eq!(results, (0, 5, 5));
        Ok(())
    }

    /// The softirq expires all timers that were due when it began. If a callback could start its
    /// timer for an earlier time, the softirq would not end (H10).
    #[test]
    fn callback_start_in_the_past_expires_now() -> Result {
        for clock in [MONOTONIC, BOOTTIME, REALTIME] {
            let fixture = Fixture::new()?;
            let place = fixture.element();
            let starts = Atomic::new(0i32);
            let starts_before_now = Atomic::new(0i32);
            let script = || {
                let begin = Monotonic::ktime_get();
                match starts.fetch_add(1, Relaxed) {
                    0 => place.start(1, ABSOLUTE),
                    // The drain arms the timer, in an interrupt on top of the expiry.
                    1 => with_irqs_off(|| place.start(0, ABSOLUTE)),
                    _ => place.start(u64::MAX, ABSOLUTE),
                };
                let reader = rcu::read_lock();
                let wanted = place.inner(&reader).map(|timer| timer.word.load().wanted());

                if wanted.is_ok_and(|time| time.is_none_or(|time| time.nsecs() < begin)) {
                    starts_before_now.fetch_add(1, Relaxed);
                }
            };

            fixture.prepare(place, clock);
            let results = place.with_script(&script, || {
                (place.start(MSEC, 0), place.wait_for(3), place.settle())
            });
            assert_eq!(results, (0, 3, 3));
            assert_eq!(starts_before_now.load(Relaxed), 0);
            assert_eq!(place.cancel(), 1);
        }
        Ok(())
    }

    /// A start for a later time does not move the alarm, which then expires too early (T8).
    #[test]
    fn timer_that_is_pushed_back_expires_at_its_last_time() -> Result {
        for clock in [MONOTONIC, BOOTTIME, REALTIME] {
            let fixture = Fixture::new()?;
            let place = fixture.element();
            let begin = Monotonic::ktime_get();

            fixture.prepare(place, clock);
            // The alarm must not expire before the last of these starts, even on a busy machine.
            assert_eq!(place.start(1000 * MSEC, 0), 0);
            let alarm = place.alarm()?;
            assert_eq!(place.start(1100 * MSEC, 0), 0);
            assert_eq!(place.alarm()?, alarm);
            assert_eq!(with_irqs_off(|| place.start(1120 * MSEC, 0)), 0);
            assert_eq!(place.alarm()?, alarm);
            assert_eq!(place.wait_for(1), 1);
            assert!(Monotonic::ktime_get() - begin >= 1120 * MSEC as i64);
            assert_eq!(place.settle(), 1);
        }
        Ok(())
    }

    #[test]
    fn timer_that_is_moved_to_an_earlier_time_expires_then() -> Result {
        for clock in [MONOTONIC, BOOTTIME, REALTIME] {
            let fixture = Fixture::new()?;
            let place = fixture.element();

            fixture.prepare(place, clock);
            assert_eq!(place.start(LATER, 0), 0);
            assert_eq!(place.start(MSEC, 0), 0);
            assert_eq!(place.wait_for(1), 1);
        }
        Ok(())
    }

    /// The alarm must fit the last word, which may change after the alarm was started.
    #[test]
    fn cancelled_timer_is_not_left_queued() -> Result {
        for clock in [MONOTONIC, REALTIME] {
            let fixture = Fixture::new()?;
            let place = fixture.element();

            for flags in [0, ABSOLUTE] {
                place.free();
                fixture.prepare(place, clock);
                assert_eq!(place.start(i64::MAX as u64, flags), 0);
                assert!(place.inner(&rcu::read_lock())?.is_any_queued());
                assert_eq!(place.cancel(), 1);
                assert!(!place.inner(&rcu::read_lock())?.is_any_queued());
                assert_eq!(fixture.set_callback(place, 0), 0);
                assert_eq!(place.start(i64::MAX as u64, flags), 0);
                assert_eq!(with_irqs_off(|| place.cancel()), 1);
                // The drain runs at once.
                assert_eq!(place.settle(), 0);
                assert!(!place.inner(&rcu::read_lock())?.is_any_queued());
            }
        }
        Ok(())
    }

    #[test]
    fn callback_cannot_cancel_its_own_timer() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        let cancelled = Atomic::new(0);
        let try_cancelled = Atomic::new(0);
        let script = || {
            cancelled.store(place.cancel(), Relaxed);
            try_cancelled.store(place.try_cancel(), Relaxed);
        };

        let results = place.with_script(&script, || (place.start(MSEC, 0), place.wait_for(1)));
        assert_eq!(results, (0, 1));
        assert_eq!(cancelled.load(Relaxed), errno(code::EDEADLK));
        assert_eq!(try_cancelled.load(Relaxed), -1);
        // The cancellation has dropped nothing.
        assert_eq!(fixture.prog_refs(0), 2);
        Ok(())
    }

    #[test]
    fn callback_can_cancel_others() -> Result {
        let fixture = Fixture::new()?;
        fixture.set_kind(bindings::bpf_map_type_BPF_MAP_TYPE_ARRAY, 4);
        let [place, other, idle] = fixture.elements_of_array();

        for place in [place, other, idle] {
            fixture.prepare(place, MONOTONIC);
        }
        let other_cancelled = Atomic::new(0);
        let idle_cancelled = Atomic::new(0);
        let script = || {
            other_cancelled.store(other.cancel(), Relaxed);
            idle_cancelled.store(idle.cancel(), Relaxed);
        };

        assert_eq!(other.start(LATER, 0), 0);
        // The second time shows that the first wait has withdrawn what it had published.
        for (runs, armed) in [(1, 1), (2, 0)] {
            let results =
                place.with_script(&script, || (place.start(MSEC, 0), place.wait_for(runs)));
            assert_eq!(results, (0, runs));
            assert_eq!(other_cancelled.load(Relaxed), armed);
            assert_eq!(idle_cancelled.load(Relaxed), 0);
        }
        assert_eq!(other.settle(), 0);
        Ok(())
    }

    #[test]
    fn absolute_start_in_the_past_fires() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.start(1, ABSOLUTE), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }

    #[test]
    fn callback_can_free_its_own_timer() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place, MONOTONIC);
        let results = place.with_script(&|| place.free(), || {
            (place.start(MSEC, 0), place.wait_for(1))
        });
        assert_eq!(results, (0, 1));
        assert!(place.is_empty());
        assert_eq!(place.settle(), 1);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }
}
