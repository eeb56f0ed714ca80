// SPDX-License-Identifier: GPL-2.0-only

//! The results and effects of the operations, one at a time.
//!
//! - R2: `set_callback_holds_the_program`, `set_callback_rejects_a_program_being_unloaded`
//! - R3: `init_needs_a_user_reference`
//! - H7: `init_needs_an_element_that_is_in_the_map`, `deleted_element_*`

use super::fixture::*;

use kernel::{
    bindings,
    error::code,
    prelude::*, //
};

#[kunit_tests(bpf_timer_operations)]
mod tests {
    use super::*;

    #[test]
    fn init_checks_clock_and_flags() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        for flags in 0..64 {
            let valid = [
                bindings::CLOCK_REALTIME,
                bindings::CLOCK_MONOTONIC,
                bindings::CLOCK_BOOTTIME,
            ]
            .contains(&flags);
            let expected = if valid { 0 } else { errno(code::EINVAL) };
            assert_eq!(fixture.init(place, u64::from(flags)), expected);
            place.free();
        }
        assert_eq!(fixture.init(place, 1 << 32), errno(code::EINVAL));
        assert!(place.is_empty());
        Ok(())
    }

    #[test]
    fn init_twice_is_busy() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        assert_eq!(fixture.init(place, MONOTONIC), 0);
        assert_eq!(fixture.init(place, MONOTONIC), errno(code::EBUSY));
        place.free();
        assert_eq!(fixture.init(place, MONOTONIC), 0);
        Ok(())
    }

    #[test]
    fn init_needs_a_user_reference() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.set_user_refs(0);
        assert_eq!(fixture.init(place, MONOTONIC), errno(code::EPERM));
        assert!(place.is_empty());
        fixture.set_user_refs(1);
        assert_eq!(fixture.init(place, MONOTONIC), 0);
        Ok(())
    }

    #[test]
    fn init_needs_an_element_that_is_in_the_map() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.delete_element();
        assert_eq!(fixture.init(place, MONOTONIC), errno(code::ENOENT));
        assert!(place.is_empty());
        Ok(())
    }

    #[test]
    fn timer_in_deleted_rhash_element_has_no_effect() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.set_kind(bindings::bpf_map_type_BPF_MAP_TYPE_RHASH, 4);
        for clock in [MONOTONIC, REALTIME] {
            fixture.delete_element();
            fixture.prepare(place, clock);
            assert_eq!(fixture.init(place, clock), errno(code::EBUSY));
            assert_eq!(fixture.prog_refs(0), 1);
            assert_eq!(place.start(0, 0), 0);
            assert_eq!(place.try_cancel(), 0);
            let results = with_irqs_off(|| (place.start(0, 0), place.try_cancel()));
            assert_eq!(results, (0, code::ECANCELED.to_errno()));
            assert_eq!(place.cancel(), 0);
            assert_eq!(place.settle(), 0);

            // The next owner of the memory finds the timer there, without a callback.
            fixture.reuse_element();
            assert_eq!(place.start(0, 0), errno(code::EINVAL));
            assert_eq!(fixture.set_callback(place, 0), 0);
            assert_eq!(fixture.prog_refs(0), 2);
            assert_eq!(place.start(LATER, 0), 0);
            assert_eq!(place.cancel(), 1);
            place.free();
        }
        Ok(())
    }

    #[test]
    fn deleted_element_rejects_callback_without_user() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.set_kind(bindings::bpf_map_type_BPF_MAP_TYPE_RHASH, 4);
        fixture.delete_element();
        assert_eq!(fixture.init(place, MONOTONIC), 0);
        fixture.set_user_refs(0);
        assert_eq!(fixture.set_callback(place, 0), errno(code::EPERM));
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn operations_need_init() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        assert_eq!(fixture.set_callback(place, 0), errno(code::EINVAL));
        assert_eq!(place.start(0, 0), errno(code::EINVAL));
        assert_eq!(place.cancel(), errno(code::EINVAL));
        assert_eq!(place.try_cancel(), code::EINVAL.to_errno());
        Ok(())
    }

    #[test]
    fn start_needs_callback_and_known_flags() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        assert_eq!(fixture.init(place, MONOTONIC), 0);
        assert_eq!(place.start(0, 0), errno(code::EINVAL));
        assert_eq!(fixture.set_callback(place, 0), 0);
        assert_eq!(place.start(0, 4), errno(code::EINVAL));
        assert_eq!(place.start(0, 1 << 63), errno(code::EINVAL));
        assert_eq!(place.settle(), 0);
        Ok(())
    }

    #[test]
    fn set_callback_holds_the_program() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        assert_eq!(fixture.init(place, MONOTONIC), 0);
        for _ in 0..2 {
            assert_eq!(fixture.set_callback(place, 0), 0);
            assert_eq!(fixture.prog_refs(0), 2);
        }
        assert_eq!(fixture.set_callback(place, 1), 0);
        assert_eq!(fixture.prog_refs(0), 1);
        assert_eq!(fixture.prog_refs(1), 2);
        assert_eq!(place.cancel(), 0);
        assert_eq!(fixture.prog_refs(1), 1);
        // Cancelling has dropped the callback.
        assert_eq!(place.start(0, 0), errno(code::EINVAL));
        Ok(())
    }

    #[test]
    fn callback_of_the_same_program_can_change() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        assert_eq!(fixture.set_other_callback(place, 0), 0);
        assert_eq!(fixture.prog_refs(0), 2);
        assert_eq!(place.start(0, 0), 0);
        assert_eq!(place.wait_for(100), 100);
        Ok(())
    }

    #[test]
    fn set_callback_rejects_a_program_being_unloaded() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        fixture.set_prog_refs(1, 0);
        assert_eq!(fixture.set_callback(place, 1), errno(code::ENOENT));
        assert_eq!(fixture.prog_refs(1), 0);
        // The callback of the other program is still set.
        assert_eq!(place.start(0, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }

    #[test]
    fn set_callback_needs_a_user_reference() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        assert_eq!(fixture.init(place, MONOTONIC), 0);
        fixture.set_user_refs(0);
        assert_eq!(fixture.set_callback(place, 0), errno(code::EPERM));
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn cancel_tells_whether_it_was_armed() -> Result {
        let (fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.cancel(), 1);
        assert_eq!(place.cancel(), 0);
        assert_eq!(place.settle(), 0);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn try_cancel_keeps_the_callback() -> Result {
        let (_fixture, place) = Fixture::with_timer()?;

        assert_eq!(place.try_cancel(), 0);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.try_cancel(), 1);
        assert_eq!(place.settle(), 0);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }
}
