// SPDX-License-Identifier: GPL-2.0-only

//! The value of an element with a timer, and what a test does with it.

use super::fixture::MSEC;
use crate::{
    exports::{
        bpf_timer_rust_cancel,
        bpf_timer_rust_cancel_and_free,
        bpf_timer_rust_cancel_async,
        bpf_timer_rust_start, //
    },
    slot::Slot,
    timer::TimerPtr, //
};

use core::ptr;

use kernel::{
    bindings,
    ffi::c_void,
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        rcu::{
            self,
            tasks_trace, //
        },
    },
    time::{
        delay::fsleep,
        ClockSource,
        Delta,
        Instant,
        Monotonic,
        RealTime, //
    },
};

/// A closure of a test that the callback calls. It runs in a softirq, on any CPU.
type Script<'a> = &'a (dyn Fn() + Sync);

/// The value of an element, with the timer and what its callback leaves for the test.
///
/// # Invariants
///
/// `script` is null, or points at a script that is valid until a grace period has passed after
/// `script` has changed.
#[repr(C)]
pub(super) struct Value {
    runs: Atomic<i64>,
    pub(super) timer: [u64; 2],
    /// The key and the map that the callback got, and the CPU that it last ran on.
    pub(super) key: Atomic<i64>,
    pub(super) map: Atomic<i64>,
    pub(super) cpu: Atomic<i64>,
    script: Atomic<*mut Script<'static>>,
}

impl Value {
    pub(super) fn new() -> Self {
        // INVARIANT: `script` is null.
        Self {
            runs: Atomic::new(0),
            timer: [0; 2],
            key: Atomic::new(-1),
            map: Atomic::new(0),
            cpu: Atomic::new(-1),
            script: Atomic::new(ptr::null_mut()),
        }
    }

    /// Calls the script, if there is one.
    fn call_script(&self) {
        // Acquire: the script sees its captured variables as they were when it was set. Pairs with
        // the store of the script in `with_script()`.
        let script = self.script.load(Acquire);

        if !script.is_null() {
            // SAFETY: By the type invariant, as the grace period cannot pass before the expiry that
            // this is called in has ended, which is a reader of RCU.
            unsafe { (*script)() };
        }
    }
}

/// The place of a test's timer.
#[derive(Copy, Clone)]
pub(super) struct Place(pub(super) *mut Value);

// SAFETY: Accesses to a value are atomic while its timer may be started.
unsafe impl Send for Place {}
// SAFETY: As above.
unsafe impl Sync for Place {}

impl Place {
    pub(super) fn value(&self) -> &Value {
        // SAFETY: The value lives as long as the fixture, which outlives the test's places.
        unsafe { &*self.0 }
    }

    pub(super) fn timer(self) -> *mut bindings::bpf_timer {
        // SAFETY: As above.
        unsafe { &raw mut (*self.0).timer }.cast()
    }

    /// Calls `test`. Until `test` returns, the callback calls `script`.
    ///
    /// `script` can capture variables of the caller: this returns after the last call of `script`
    /// has ended. It waits for a grace period, so it must not be called in a read-side section.
    ///
    /// Neither `script` nor `test` may use KUnit's assertions. An assertion that fails ends the
    /// task, and frees its stack, while the callback can still call `script`. So `test` returns
    /// what its caller asserts.
    pub(super) fn with_script<R>(self, script: Script<'_>, test: impl FnOnce() -> R) -> R {
        let installed = &self.value().script;

        // CAST: Only the lifetime differs. The type invariant of `Value` says how long it is.
        // Release: pairs with the load in `call_script()`.
        // INVARIANT: `script` is valid until this returns. Before that, `installed` changes and a
        // grace period passes.
        installed.store(ptr::from_ref(&script).cast_mut().cast(), Release);
        let result = test();

        // Relaxed: the grace period orders this.
        // INVARIANT: `installed` is null.
        installed.store(ptr::null_mut(), Relaxed);
        rcu::synchronize_rcu();
        result
    }

    /// Returns the slot, which is valid until the read-side section ends.
    pub(super) fn slot(self, _reader: &rcu::Guard) -> &Slot {
        // SAFETY: The timer is in a value of a map; the result is gone when `_reader` is.
        unsafe { Slot::from_raw(self.timer()) }
    }

    /// Returns the timer, which is valid for as long as the slot.
    pub(super) fn inner(self, reader: &rcu::Guard) -> Result<TimerPtr<'_>> {
        self.slot(reader).timer()
    }

    /// Returns when the hrtimer will expire, or an error if it is not queued.
    pub(super) fn alarm(self) -> Result<i64> {
        let reader = rcu::read_lock();
        let timer = self.inner(&reader)?;
        let hrtimer = &timer.hrtimer;

        if !hrtimer.is_queued() {
            return Err(ENOENT);
        }
        Ok(hrtimer.expires())
    }

    /// Returns whether [`other_callback`] is set, as opposed to [`callback`].
    pub(super) fn has_other_callback(self) -> Result<bool> {
        let reader = rcu::read_lock();
        let code = self.inner(&reader)?.callback.get().ok_or(EINVAL)?.as_ptr();

        Ok(code == other_callback as *mut c_void)
    }

    pub(super) fn is_empty(self) -> bool {
        // SAFETY: The value is valid, as in `value()`. The first word is only accessed with atomic
        // operations.
        unsafe { Atomic::from_ptr(self.timer().cast::<*mut c_void>()) }
            .load(Relaxed)
            .is_null()
    }

    pub(super) fn start(self, nsecs: u64, flags: u64) -> u64 {
        let _reader = rcu::read_lock();

        // SAFETY: The timer is in a value of a map. `_reader` makes us a reader, as programs are.
        unsafe { bpf_timer_rust_start(self.timer(), nsecs, flags) as u64 }
    }

    pub(super) fn cancel(self) -> u64 {
        // Sleepable programs are such readers. On `PREEMPT_RT`, others do not wait.
        let _reader = tasks_trace::read_lock();

        // SAFETY: The timer is in a value of a map. `_reader` makes us a reader, as programs are.
        unsafe { bpf_timer_rust_cancel(self.timer()) as u64 }
    }

    pub(super) fn try_cancel(self) -> i32 {
        let _reader = rcu::read_lock();

        // SAFETY: The timer is in a value of a map. `_reader` makes us a reader, as programs are.
        unsafe { bpf_timer_rust_cancel_async(self.timer()) }
    }

    pub(super) fn free(self) {
        // SAFETY: The timer is in a value of a map.
        unsafe { bpf_timer_rust_cancel_and_free(self.timer()) }
    }

    pub(super) fn runs(self) -> i64 {
        // Acquire: the caller sees what these runs have stored. Pairs with the additions in
        // `callback()` and `other_callback()`.
        self.value().runs.load(Acquire)
    }

    /// Waits until the callback has run `runs` times, for 2 s at most. Returns how often it ran.
    pub(super) fn wait_for(self, runs: i64) -> i64 {
        poll(|| self.runs() >= runs);
        self.runs()
    }

    /// Sleeps until the short timers of the tests must have expired. Returns how often the callback
    /// has run.
    pub(super) fn settle(self) -> i64 {
        fsleep(Delta::from_millis(30));
        self.runs()
    }
}

/// Returns a time of day in the near future. A slow machine can still start a timer before that
/// time comes: a start for the past would become a relative one. [`Place::settle`] sleeps longer.
pub(super) fn soon() -> u64 {
    RealTime::ktime_get() as u64 + 10 * MSEC
}

/// Sleeps until `condition` is true, for 2 s at most.
pub(super) fn poll(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            break;
        }
        fsleep(Delta::from_millis(1));
    }
}

/// Spins until `condition` is true, for 10 s at most, because a host can stop a virtual CPU for
/// seconds. Returns whether the condition is true.
pub(super) fn spin_until(condition: impl Fn() -> bool) -> bool {
    let begin = Instant::<Monotonic>::now();

    while !condition() {
        if begin.elapsed() > Delta::from_secs(10) {
            return false;
        }
        cpu_relax();
    }
    true
}

/// Sets `flag` for [`spin_until_set`].
pub(super) fn set(flag: &Atomic<bool>) {
    // Release: pairs with the load in `spin_until_set()`.
    flag.store(true, Release);
}

/// Spins until `flag` is set, as [`spin_until`] does. Returns whether it is set.
pub(super) fn spin_until_set(flag: &Atomic<bool>) -> bool {
    // Acquire: the caller sees what was stored before `flag` was set. Pairs with the store in
    // `set()`.
    spin_until(|| flag.load(Acquire))
}

/// The callback. It has the type of a callback in a BPF program.
///
/// # Safety
///
/// `value` must be the address of a [`Value`] in a fixture, and `key` that of a key of four bytes.
pub(super) unsafe extern "C" fn callback(
    map: u64,
    key: u64,
    value: u64,
    _r4: u64,
    _r5: u64,
) -> u64 {
    let place = Place(value as *mut Value);
    let value = place.value();

    value.map.store(map as i64, Relaxed);
    // SAFETY: By the safety requirement.
    let key = unsafe { *(key as *const u32) };
    value.key.store(i64::from(key), Relaxed);
    // SAFETY: Callable in any context.
    let cpu = unsafe { bindings::raw_smp_processor_id() };
    value.cpu.store(cpu.into(), Relaxed);
    value.call_script();
    // Release: pairs with the load in `runs()`.
    value.runs.fetch_add(1, Release);
    0
}

/// Another callback. Each of its runs counts as a hundred.
///
/// # Safety
///
/// As for [`callback`].
pub(super) unsafe extern "C" fn other_callback(
    _map: u64,
    _key: u64,
    value: u64,
    _r4: u64,
    _r5: u64,
) -> u64 {
    let place = Place(value as *mut Value);

    // Release: pairs with the load in `runs()`.
    place.value().runs.fetch_add(100, Release);
    0
}
