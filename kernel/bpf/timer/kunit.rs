// SPDX-License-Identifier: GPL-2.0-only

//! KUnit suite of the timer: real timers and memory, in maps and programs made up for the tests.

use crate::exports::{
    bpf_timer_cancel,
    bpf_timer_cancel_and_free,
    bpf_timer_init,
    bpf_timer_set_callback,
    bpf_timer_start,
    bpf_timer_try_cancel, //
};

use kernel::{
    bindings,
    error::code,
    ffi::c_void,
    interrupt,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        rcu, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

const MONOTONIC: u64 = bindings::CLOCK_MONOTONIC as u64;
const REALTIME: u64 = bindings::CLOCK_REALTIME as u64;
const ABSOLUTE: u64 = bindings::BPF_F_TIMER_ABS as u64;
const MSEC: u64 = 1_000_000;
/// Long enough for the test to cancel it before, whatever else the machine does.
const LATER: u64 = 100_000 * MSEC;

fn errno(error: Error) -> u64 {
    i64::from(error.to_errno()) as u64
}

/// The value of an element, with the timer and what its callback leaves for the test.
#[repr(C)]
struct Value {
    runs: Atomic<i64>,
    timer: [u64; 2],
    /// What the callback got as its key, and as its map.
    key: Atomic<i64>,
    map: Atomic<i64>,
    /// How often the callback starts the timer again.
    restarts: Atomic<i64>,
    /// Whether it does so for a time long past, by the clock, after it has done so for later.
    restarts_twice: Atomic<i64>,
    /// What the callback got when it cancelled its own timer without waiting.
    self_try_cancel: Atomic<i64>,
    /// What the callback got when it cancelled its own timer.
    self_cancel: Atomic<i64>,
    /// Whether the callback frees its own timer, as by deleting its element.
    frees: Atomic<i64>,
}

impl Value {
    fn new() -> Self {
        Self {
            runs: Atomic::new(0),
            timer: [0; 2],
            key: Atomic::new(0),
            map: Atomic::new(0),
            restarts: Atomic::new(0),
            restarts_twice: Atomic::new(0),
            self_try_cancel: Atomic::new(0),
            self_cancel: Atomic::new(0),
            frees: Atomic::new(0),
        }
    }
}

/// An element as hash maps have it: the key before the value, rounded up to eight bytes.
#[repr(C)]
struct Element {
    key: u64,
    value: Opaque<Value>,
}

/// A map with one element, and a program.
#[repr(C)]
struct Fixture {
    /// First, as in `struct bpf_array` the map is; the values of an array follow.
    array: Opaque<bindings::bpf_array>,
    array_values: [Opaque<Value>; 3],
    element: Element,
    record: Opaque<bindings::btf_record>,
    ops: Opaque<bindings::bpf_map_ops>,
    progs: [Opaque<bindings::bpf_prog>; 2],
    auxs: [Opaque<bindings::bpf_prog_aux>; 2],
}

static_assert!(core::mem::offset_of!(Fixture, array_values) == size_of::<bindings::bpf_array>());

/// The lookup in a map that has its one element.
///
/// # Safety
///
/// `map` must be that of a [`Fixture`].
unsafe extern "C" fn lookup(map: *mut bindings::bpf_map, _key: *mut c_void) -> *mut c_void {
    // CAST: A fixture begins with its map.
    // SAFETY: By the safety requirement.
    unsafe { (*map.cast::<Fixture>()).element.value.get().cast() }
}

/// The lookup in a map that has no element.
///
/// # Safety
///
/// None, but that is the type.
unsafe extern "C" fn lookup_in_empty(
    _map: *mut bindings::bpf_map,
    _key: *mut c_void,
) -> *mut c_void {
    core::ptr::null_mut()
}

/// Where a test's timer is.
#[derive(Copy, Clone)]
struct Place(*mut Value);

impl Fixture {
    fn new() -> Result<KBox<Self>> {
        let value = || Opaque::new(Value::new());
        let fixture = KBox::new(
            Self {
                array: Opaque::zeroed(),
                array_values: [value(), value(), value()],
                element: Element {
                    key: 0,
                    value: value(),
                },
                record: Opaque::zeroed(),
                ops: Opaque::zeroed(),
                progs: [Opaque::zeroed(), Opaque::zeroed()],
                auxs: [Opaque::zeroed(), Opaque::zeroed()],
            },
            GFP_KERNEL,
        )?;

        // SAFETY: All of these are zeroed C structures that nobody else has.
        unsafe {
            let array = fixture.array.get();
            (*array).elem_size = size_of::<Value>() as u32;
            let map = &mut (*array).map;
            map.map_type = bindings::bpf_map_type_BPF_MAP_TYPE_HASH;
            map.key_size = 4;
            map.numa_node = bindings::NUMA_NO_NODE;
            map.record = fixture.record.get();
            map.ops = fixture.ops.get();
            (*fixture.ops.get()).map_lookup_elem = Some(lookup);
            map.usercnt.counter = 1;
            (*map.record).timer_off = core::mem::offset_of!(Value, timer) as i32;
            for (prog, aux) in fixture.progs.iter().zip(&fixture.auxs) {
                (*prog.get()).aux = aux.get();
                (*aux.get()).prog = prog.get();
                // The test's own reference, so that the program is never freed.
                (*aux.get()).refcnt.counter = 1;
            }
        }
        Ok(fixture)
    }

    fn map(&self) -> *mut bindings::bpf_map {
        self.array.get().cast()
    }

    /// As if the element had been deleted.
    fn delete_element(&self) {
        // SAFETY: No timer uses the map yet.
        unsafe { (*self.ops.get()).map_lookup_elem = Some(lookup_in_empty) };
    }

    fn set_user_refs(&self, refs: i64) {
        // SAFETY: A field of our map, which is accessed with atomic operations only.
        unsafe { Atomic::from_ptr(&raw mut (*self.map()).usercnt.counter) }.store(refs, Relaxed);
    }

    fn make_array(&self) {
        // SAFETY: No timer uses the map yet.
        unsafe { (*self.map()).map_type = bindings::bpf_map_type_BPF_MAP_TYPE_ARRAY };
    }

    fn element(&self) -> Place {
        Place(self.element.value.get())
    }

    fn prog_refs(&self, prog: usize) -> i64 {
        // SAFETY: A field of our program, which is accessed with atomic operations only.
        unsafe { Atomic::from_ptr(&raw mut (*self.auxs[prog].get()).refcnt.counter) }.load(Relaxed)
    }

    fn init(&self, place: Place, flags: u64) -> u64 {
        // SAFETY: The timer is in a value of the map.
        unsafe { bpf_timer_init(place.timer() as u64, self.map() as u64, flags, 0, 0) }
    }

    fn set_callback(&self, place: Place, prog: usize) -> u64 {
        let aux = self.auxs[prog].get() as u64;
        let code = callback as *const c_void as u64;

        // SAFETY: The timer is in a value of the map, and the code is of the type of a callback.
        unsafe { bpf_timer_set_callback(place.timer() as u64, code, aux, 0, 0) }
    }

    /// Makes a timer with a callback.
    fn prepare(&self, place: Place) {
        assert_eq_or_warn(self.init(place, MONOTONIC), 0);
        assert_eq_or_warn(self.set_callback(place, 0), 0);
    }
}

/// Calls `f` where operations are left to the drain, which comes right after.
fn with_irqs_off<R>(f: impl FnOnce() -> R) -> R {
    let _irqs_off = interrupt::local_interrupt_disable();
    f()
}

/// For what a test relies on outside of its body, where KUnit's assertions are not to be had.
fn assert_eq_or_warn(left: u64, right: u64) {
    kernel::warn_on!(left != right);
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.set_user_refs(0);
        self.element().free();
        for value in &self.array_values {
            Place(value.get()).free();
        }
        // The timers refer to the map and the programs until a grace period has passed.
        rcu::synchronize_rcu();
        rcu::tasks_trace::barrier();
    }
}

impl Place {
    fn value(&self) -> &Value {
        // SAFETY: The value lives as long as the fixture, which outlives the test's places.
        unsafe { &*self.0 }
    }

    fn timer(self) -> *mut c_void {
        // SAFETY: As above.
        unsafe { &raw mut (*self.0).timer }.cast()
    }

    fn is_empty(self) -> bool {
        // SAFETY: As above; the first word is accessed with atomic operations only.
        unsafe { Atomic::from_ptr(self.timer().cast::<*mut c_void>()) }
            .load(Relaxed)
            .is_null()
    }

    fn start(self, nsecs: u64, flags: u64) -> u64 {
        // SAFETY: The timer is in a value of a map.
        unsafe { bpf_timer_start(self.timer() as u64, nsecs, flags, 0, 0) }
    }

    fn cancel(self) -> u64 {
        // SAFETY: The timer is in a value of a map.
        unsafe { bpf_timer_cancel(self.timer() as u64, 0, 0, 0, 0) }
    }

    fn try_cancel(self) -> i32 {
        // SAFETY: The timer is in a value of a map.
        unsafe { bpf_timer_try_cancel(self.timer()) }
    }

    fn free(self) {
        // SAFETY: The timer is in a value of a map.
        unsafe { bpf_timer_cancel_and_free(self.timer()) }
    }

    fn runs(self) -> i64 {
        self.value().runs.load(Acquire)
    }

    /// Waits until the callback has run `runs` times; returns how often it did after 2 s at most.
    fn wait_for(self, runs: i64) -> i64 {
        for _ in 0..2000 {
            if self.runs() >= runs {
                break;
            }
            fsleep(Delta::from_millis(1));
        }
        self.runs()
    }

    /// Waits for longer than the timers of these tests take, and returns how often it ran.
    fn settle(self) -> i64 {
        fsleep(Delta::from_millis(30));
        self.runs()
    }
}

/// What a program would do in its callback.
///
/// # Safety
///
/// Only to be called for a timer in the [`Value`] of a [`Fixture`], whose keys are of four bytes.
unsafe extern "C" fn callback(map: u64, key: u64, value: u64, _r4: u64, _r5: u64) -> u64 {
    let place = Place(value as *mut Value);
    let value = place.value();

    value.map.store(map as i64, Relaxed);
    // SAFETY: By the safety requirement.
    let key = unsafe { *(key as *const u32) };
    value.key.store(i64::from(key), Relaxed);
    value.self_cancel.store(place.cancel() as i64, Relaxed);
    value
        .self_try_cancel
        .store(place.try_cancel().into(), Relaxed);
    if value.restarts.fetch_sub(1, Relaxed) > 0 {
        place.start(MSEC, 0);
        if value.restarts_twice.load(Relaxed) != 0 {
            place.start(1, ABSOLUTE);
        }
    }
    if value.frees.load(Relaxed) != 0 {
        place.free();
    }
    value.runs.fetch_add(1, Release);
    0
}

#[kunit_tests(bpf_timer)]
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
    fn expiry_without_user_references_lets_go_of_the_program() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
        assert_eq!(place.start(MSEC, 0), 0);
        fixture.set_user_refs(0);
        assert_eq!(place.settle(), 0);
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
    fn expiry_calls_with_the_key_of_a_hash() -> Result {
        let mut fixture = Fixture::new()?;
        fixture.element.key = 4711;
        let place = fixture.element();

        fixture.prepare(place);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        assert_eq!(place.value().key.load(Relaxed), 4711);
        assert_eq!(place.value().map.load(Relaxed), fixture.map() as i64);
        // It fires once, and can be started again.
        assert_eq!(place.settle(), 1);
        assert_eq!(place.start(0, 0), 0);
        assert_eq!(place.wait_for(2), 2);
        Ok(())
    }

    #[test]
    fn expiry_calls_with_the_index_of_an_array() -> Result {
        let fixture = Fixture::new()?;
        fixture.make_array();

        for (index, value) in fixture.array_values.iter().enumerate() {
            let place = Place(value.get());
            place.value().key.store(-1, Relaxed);
            fixture.prepare(place);
            assert_eq!(place.start(MSEC, 0), 0);
            assert_eq!(place.wait_for(1), 1);
            assert_eq!(place.value().key.load(Relaxed), index as i64);
        }
        Ok(())
    }

    #[test]
    fn callback_cannot_cancel_itself_but_restart() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        place.value().restarts.store(4, Relaxed);
        fixture.prepare(place);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(5), 5);
        assert_eq!(place.settle(), 5);
        let result = place.value().self_cancel.load(Relaxed) as u64;
        assert_eq!(result, errno(code::EDEADLK));
        assert_eq!(place.value().self_try_cancel.load(Relaxed), -1);
        // That has dropped nothing.
        assert_eq!(fixture.prog_refs(0), 2);
        Ok(())
    }

    #[test]
    fn cancel_tells_whether_it_was_armed() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.cancel(), 1);
        assert_eq!(place.cancel(), 0);
        assert_eq!(place.settle(), 0);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn try_cancel_keeps_the_callback() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
        assert_eq!(place.try_cancel(), 0);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.try_cancel(), 1);
        assert_eq!(place.settle(), 0);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }

    #[test]
    fn absolute_start_in_the_past_fires() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
        assert_eq!(place.start(1, ABSOLUTE), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }

    #[test]
    fn wall_clock_timer_counts_its_last_start_alone() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        assert_eq!(fixture.init(place, REALTIME), 0);
        assert_eq!(fixture.set_callback(place, 0), 0);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.start(1, ABSOLUTE), 0);
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
    fn wall_clock_timer_changes_its_base_while_it_runs() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        // In each callback the first of two starts is put off by the second.
        place.value().restarts.store(4, Relaxed);
        place.value().restarts_twice.store(1, Relaxed);
        assert_eq!(fixture.init(place, REALTIME), 0);
        assert_eq!(fixture.set_callback(place, 0), 0);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(5), 5);
        assert_eq!(place.settle(), 5);
        let result = place.value().self_cancel.load(Relaxed) as u64;
        assert_eq!(result, errno(code::EDEADLK));
        assert_eq!(place.value().self_try_cancel.load(Relaxed), -1);
        // What was put off does not count.
        assert_eq!(place.try_cancel(), 0);
        assert_eq!(place.start(LATER, 0), 0);
        assert_eq!(place.try_cancel(), 1);
        Ok(())
    }

    #[test]
    fn direct_operation_supersedes_a_deferred_one() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
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
    fn operations_on_a_dying_timer_find_it_gone() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
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
    fn free_cancels_and_drops_the_program() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
        assert_eq!(place.start(LATER, 0), 0);
        place.free();
        assert!(place.is_empty());
        assert_eq!(fixture.prog_refs(0), 1);
        assert_eq!(place.settle(), 0);
        // The slot is as good as new.
        fixture.prepare(place);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        Ok(())
    }

    #[test]
    fn free_works_with_interrupts_off() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
        assert_eq!(place.start(LATER, 0), 0);
        with_irqs_off(|| place.free());
        assert!(place.is_empty());
        assert_eq!(place.settle(), 0);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn start_works_with_interrupts_off() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
        let result = with_irqs_off(|| place.start(MSEC, 0));
        assert_eq!(result, 0);
        assert_eq!(place.wait_for(1), 1);
        assert_eq!(place.settle(), 1);
        Ok(())
    }

    #[test]
    fn cancel_refuses_to_wait_with_interrupts_off() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        let result = with_irqs_off(|| place.cancel());
        assert_eq!(result, errno(code::EOPNOTSUPP));

        fixture.prepare(place);
        assert_eq!(place.start(LATER, 0), 0);
        let result = with_irqs_off(|| place.cancel());
        assert_eq!(result, errno(code::EOPNOTSUPP));
        // It was not cancelled.
        assert_eq!(place.cancel(), 1);
        Ok(())
    }

    #[test]
    fn death_with_an_operation_pending() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
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
    fn callback_can_free_its_own_timer() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        place.value().frees.store(1, Relaxed);
        fixture.prepare(place);
        assert_eq!(place.start(MSEC, 0), 0);
        assert_eq!(place.wait_for(1), 1);
        assert!(place.is_empty());
        assert_eq!(place.settle(), 1);
        assert_eq!(fixture.prog_refs(0), 1);
        Ok(())
    }

    #[test]
    fn last_deferred_operation_wins() -> Result {
        let fixture = Fixture::new()?;
        let place = fixture.element();

        fixture.prepare(place);
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
