// SPDX-License-Identifier: GPL-2.0-only

//! Tracepoints. Their arguments are only gathered when they are on.
//!
//! C header: [`include/trace/events/bpf_timer.h`](srctree/include/trace/events/bpf_timer.h)

use crate::{
    timer::{
        Timer,
        TimerPtr, //
    },
    word::{
        Time,
        Word, //
    }, //
};

use kernel::{
    bpf::Map,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    time::hrtimer::soft::{
        ClockId,
        TryCancel, //
    },
};

/// Returns whether a tracepoint is on; costs no more than a jump that is patched in.
macro_rules! is_on {
    ($name:ident) => {{
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            // SAFETY: It is always fine to ask for the static key of a tracepoint.
            unsafe {
                kernel::jump_label::static_branch_unlikely!(
                    kernel::bindings::$name,
                    kernel::bindings::tracepoint,
                    key
                )
            }
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        {
            false
        }
    }};
}

mod tracepoints {
    use super::*;

    kernel::tracepoint::declare_trace! {
        pub(super) unsafe fn bpf_timer_init(
            timer: *const c_void,
            map_id: u32,
            clockid: c_int,
            ret: c_int,
        );
        pub(super) unsafe fn bpf_timer_start(
            timer: *const c_void,
            map_id: u32,
            prog_id: u32,
            nsecs: u64,
            flags: u64,
            pushed: bool,
            ret: c_int,
        );
        pub(super) unsafe fn bpf_timer_cancel(
            timer: *const c_void,
            map_id: u32,
            prog_id: u32,
            r#async: bool,
            ret: c_int,
        );
        pub(super) unsafe fn bpf_timer_expire_entry(
            timer: *const c_void,
            map_id: u32,
            prog_id: u32,
            expires: i64,
            clockid: c_int,
        );
        pub(super) unsafe fn bpf_timer_expire_exit(
            timer: *const c_void,
            map_id: u32,
            prog_id: u32,
        );
        pub(super) unsafe fn bpf_timer_free(
            timer: *const c_void,
            map_id: u32,
            prog_id: u32,
            armed: bool,
        );
    }
}

/// Returns the code that a program sees for a result.
fn code<T>(result: &Result<T>, value: impl FnOnce(&T) -> c_int) -> c_int {
    result.as_ref().map_or_else(|error| error.to_errno(), value)
}

/// The address of a timer and the ids of its map and program, the latter two zero if it has none.
#[derive(Copy, Clone)]
struct Identity {
    timer: *const c_void,
    map_id: u32,
    prog_id: u32,
}

impl Identity {
    #[cold]
    fn of(timer: TimerPtr<'_>) -> Self {
        Self {
            timer: timer.as_non_null().as_ptr().cast(),
            map_id: timer.map().map_or(0, Map::id),
            prog_id: timer.prog_id(),
        }
    }
}

/// Returns whether initializations are to be traced.
#[inline]
pub(crate) fn init_is_on() -> bool {
    is_on!(__tracepoint_bpf_timer_init)
}

pub(crate) fn init(timer: *const Timer, map: &Map, clock: ClockId, result: &Result) {
    let ret = code(result, |()| 0);

    // SAFETY: The arguments are plain values.
    unsafe { tracepoints::bpf_timer_init(timer.cast(), map.id(), clock as c_int, ret) };
}

/// Returns whether starts are to be traced.
#[inline]
pub(crate) fn start_is_on() -> bool {
    is_on!(__tracepoint_bpf_timer_start)
}

/// Does a start, and traces it. `start` also returns whether the timer was pushed back.
#[cold]
pub(crate) fn start(
    timer: TimerPtr<'_>,
    nsecs: u64,
    flags: u64,
    start: impl FnOnce() -> (Result, bool),
) -> Result {
    let (result, pushed) = start();
    let id = Identity::of(timer);
    let ret = code(&result, |()| 0);

    // SAFETY: The arguments are plain values.
    unsafe {
        tracepoints::bpf_timer_start(id.timer, id.map_id, id.prog_id, nsecs, flags, pushed, ret);
    }
    result
}

/// Returns whether cancellations are to be traced.
#[inline]
pub(crate) fn cancel_is_on() -> bool {
    is_on!(__tracepoint_bpf_timer_cancel)
}

/// Does a cancellation, and traces it with the program that the timer has before.
#[cold]
pub(crate) fn cancel<'a>(
    timer: TimerPtr<'a>,
    without_waiting: bool,
    cancel: impl FnOnce(TimerPtr<'a>) -> Result<TryCancel>,
) -> Result<TryCancel> {
    let id = Identity::of(timer);
    let result = cancel(timer);
    let ret = code(&result, |&done| done as c_int);

    // SAFETY: The arguments are plain values.
    unsafe {
        tracepoints::bpf_timer_cancel(id.timer, id.map_id, id.prog_id, without_waiting, ret);
    }
    result
}

/// Returns whether expiries are to be traced.
#[inline]
pub(crate) fn expire_is_on() -> bool {
    is_on!(__tracepoint_bpf_timer_expire_entry) || is_on!(__tracepoint_bpf_timer_expire_exit)
}

#[inline]
pub(crate) fn expire_entry(timer: TimerPtr<'_>, word: Word) {
    if is_on!(__tracepoint_bpf_timer_expire_entry) {
        let id = Identity::of(timer);
        let expires = word.wanted().map_or(0, Time::nsecs);
        let clock = timer.clock_of(word) as c_int;

        // SAFETY: The arguments are plain values.
        unsafe {
            tracepoints::bpf_timer_expire_entry(id.timer, id.map_id, id.prog_id, expires, clock);
        }
    }
}

#[inline]
pub(crate) fn expire_exit(timer: TimerPtr<'_>) {
    if is_on!(__tracepoint_bpf_timer_expire_exit) {
        let id = Identity::of(timer);

        // SAFETY: The arguments are plain values.
        unsafe { tracepoints::bpf_timer_expire_exit(id.timer, id.map_id, id.prog_id) };
    }
}

/// Returns whether deaths are to be traced.
#[inline]
pub(crate) fn free_is_on() -> bool {
    is_on!(__tracepoint_bpf_timer_free)
}

/// Kills a timer, and traces it with the map and the program that it has before. `kill` returns
/// what the word was.
///
/// A timer that was never alive is not traced. Its initialization has failed, or its element was
/// deleted before.
#[cold]
pub(crate) fn free<'a>(timer: TimerPtr<'a>, kill: impl FnOnce(TimerPtr<'a>) -> Word) -> Word {
    let id = Identity::of(timer);
    let word = kill(timer);

    if word.is_alive() {
        let armed = word.wanted().is_some();

        // SAFETY: The arguments are plain values.
        unsafe { tracepoints::bpf_timer_free(id.timer, id.map_id, id.prog_id, armed) };
    }
    word
}
