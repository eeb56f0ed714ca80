// SPDX-License-Identifier: GPL-2.0-only

//! Operations where nothing may be locked.

use super::fixture::*;
use crate::defer;

use kernel::{
    error::code,
    prelude::*, //
};

#[kunit_tests(bpf_timer_deferred)]
mod tests {
    use super::*;

    #[test]
    fn direct_operation_supersedes_a_deferred_one() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        // The drain comes when interrupts are on again, so all that can be shown on one CPU is that
        // it leaves alone what came later; the queue is that of this CPU.
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
        // The drain comes at once.
        assert_eq!(place.settle(), 0);
        assert_eq!(place.try_cancel(), 0);
        Ok(())
    }

    #[test]
    fn cancel_refuses_to_wait_with_interrupts_off() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        let result = with_irqs_off(|| place.cancel());
        assert_eq!(result, errno(code::EOPNOTSUPP));

        fixture.prepare(place, MONOTONIC);
        assert_eq!(place.start(LATER, 0), 0);
        let result = with_irqs_off(|| place.cancel());
        assert_eq!(result, errno(code::EOPNOTSUPP));
        // It was not cancelled.
        assert_eq!(place.cancel(), 1);
        Ok(())
    }

    #[test]
    fn death_with_an_operation_pending() -> Result {
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
            defer::pause_all(LATER as i64);
            place.start(MSEC, 0)
        });
        assert_eq!(result, 0);
        assert!(!place.inner()?.command.is_idle());
        // Direct operations do not wait for the end of the pause.
        assert_eq!(other.start(MSEC, 0), 0);
        assert_eq!(other.wait_for(1), 1);
        assert_eq!(place.runs(), 0);

        with_irqs_off(|| defer::pause_all(1));
        assert_eq!(place.wait_for(1), 1);
        assert_eq!(place.settle(), 1);
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
