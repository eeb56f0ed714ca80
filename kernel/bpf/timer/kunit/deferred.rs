// SPDX-License-Identifier: GPL-2.0-only

//! Operations in contexts that must not take locks.
//!
//! - R5: all
//! - R6: `free_cancels_a_pending_start`
//! - R7: `paused_drain_executes_operations_later`, `who_makes_a_timer_buries_dead_ones`
//! - H14: `cancel_with_interrupts_off_is_exact`,
//!   `cancel_that_interrupted_the_callback_fails`

use super::fixture::*;
use crate::drain;

use kernel::{
    error::code,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        rcu, //
    },
};

#[kunit_tests(bpf_timer_deferred)]
mod tests {
    use super::*;

    #[test]
    fn direct_operation_overrides_a_deferred_one() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        // The drain of this CPU runs when interrupts are on again. So on one CPU, the test can only
        // show that the drain leaves later operations alone.
        for _ in 0..8 {
            assert_eq!(with_irqs_off(|| place.start(LATER, 0)), 0);
            assert_eq!(place.try_cancel(), 1);
            let result = with_irqs_off(|| place.try_cancel());
            assert_eq!(result, code::ECANCELED.to_errno());
            assert_eq!(place.start(LATER, 0), 0);
            assert_eq!(place.try_cancel(), 1);
        }
        assert_eq!(place.settle(), 0);
        Ok(())
    }

    #[test]
    fn free_works_with_interrupts_off() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.start(LATER, 0), 0);
        with_irqs_off(|| place.free());
        assert!(place.is_empty());
        assert_eq!(place.settle(), 0);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn start_works_with_interrupts_off() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        let result = with_irqs_off(|| place.start(MSEC, 0));
        assert_eq!(result, 0);
        assert_eq!(place.wait_for(1), 1);
        assert_eq!(place.settle(), 1);
        Ok(())
    }

    #[test]
    fn cancel_works_with_interrupts_off() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.start(LATER, 0), 0);
        let result = with_irqs_off(|| place.try_cancel());
        assert_eq!(result, code::ECANCELED.to_errno());
        // The drain runs at once.
        assert_eq!(place.settle(), 0);
        assert_eq!(place.try_cancel(), 0);
        Ok(())
    }

    #[test]
    fn cancel_with_interrupts_off_is_exact() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        assert_eq!(with_irqs_off(|| place.cancel()), errno(code::EINVAL));
        for clock in [MONOTONIC, BOOTTIME, REALTIME] {
            fixture.prepare(place, clock);
            let results = with_irqs_off(|| (place.start(0, 0), place.cancel(), place.cancel()));
            assert_eq!(results, (0, 1, 0));
            assert_eq!(place.settle(), 0);
            assert_eq!(fixture.prog_refs(0), 1);

            assert_eq!(fixture.set_callback(place, 0), 0);
            assert_eq!(place.start(LATER, 0), 0);
            assert_eq!(with_irqs_off(|| place.cancel()), 1);
            assert_eq!(place.cancel(), 0);
            place.free();
        }
        Ok(())
    }

    #[test]
    fn cancel_that_interrupted_the_callback_fails() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        let cancelled = Atomic::new(0);
        let script = || cancelled.store(with_irqs_off(|| place.cancel()), Relaxed);

        let results = place.with_script(&script, || (place.start(MSEC, 0), place.wait_for(1)));
        assert_eq!(results, (0, 1));
        assert_eq!(cancelled.load(Relaxed), errno(code::EDEADLK));
        // The cancellation has dropped nothing.
        assert_eq!(fixture.prog_refs(0), 2);
        Ok(())
    }

    #[test]
    fn free_cancels_a_pending_start() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        let result = with_irqs_off(|| {
            let result = place.start(MSEC, 0);
            place.free();
            result
        });
        assert_eq!(result, 0);
        assert!(place.is_empty());
        assert_eq!(place.settle(), 0);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn paused_drain_executes_operations_later() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;
        let (_other_fixture, other) = Fixture::with_timer()?;

        let result = with_irqs_off(|| {
            drain::pause_all(LATER as i64);
            place.start(MSEC, 0)
        });
        assert_eq!(result, 0);
        assert!(place.inner(&rcu::read_lock())?.word.load().is_queued());
        // Direct operations do not wait for the end of the pause.
        assert_eq!(other.start(MSEC, 0), 0);
        assert_eq!(other.wait_for(1), 1);
        assert_eq!(place.runs(), 0);

        with_irqs_off(|| drain::pause_all(1));
        assert_eq!(place.wait_for(1), 1);
        assert_eq!(place.settle(), 1);
        Ok(())
    }

    #[test]
    fn who_makes_a_timer_buries_dead_ones() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;
        let other = Fixture::new()?;
        let queued_before = Atomic::new(false);
        let queued_after = Atomic::new(true);

        assert_eq!(place.start(LATER, 0), 0);
        on_cpu(0, &|| {
            let reader = rcu::read_lock();
            let Ok(timer) = place.inner(&reader) else {
                return;
            };

            with_irqs_off(|| {
                drain::pause_all(LATER as i64);
                place.free();
            });
            queued_before.store(timer.is_any_queued(), Relaxed);
            other.init(other.element(), MONOTONIC);
            queued_after.store(timer.is_any_queued(), Relaxed);
        })?;
        with_irqs_off(|| drain::pause_all(1));
        assert!(queued_before.load(Relaxed));
        assert!(!queued_after.load(Relaxed));
        Ok(())
    }

    #[test]
    fn last_deferred_operation_wins() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        let results = with_irqs_off(|| (place.start(MSEC, 0), place.try_cancel()));
        assert_eq!(results.0, 0);
        assert_eq!(results.1, code::ECANCELED.to_errno());
        assert_eq!(place.settle(), 0);

        let results = with_irqs_off(|| (place.try_cancel(), place.start(MSEC, 0)));
        assert_eq!(results.0, code::ECANCELED.to_errno());
        assert_eq!(results.1, 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }
}
