// SPDX-License-Identifier: GPL-2.0-only

//! What C and BPF programs call.
//!
//! BPF programs pass arguments in five 64-bit registers and take a 64-bit result; that ends here.
//!
//! C header: [`include/linux/bpf_timer.h`](srctree/include/linux/bpf_timer.h)

use crate::{
    command::Start,
    defer,
    slot::Slot, //
};

use kernel::{
    bindings,
    bpf::{
        Callback,
        Map,
        Prog, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    time::hrtimer::dynamic::ClockId, //
};

use core::ptr::NonNull;

/// Turns a result into what a helper returns.
fn to_register(result: Result<u64>) -> u64 {
    result.unwrap_or_else(|error| i64::from(error.to_errno()) as u64)
}

/// `bpf_timer_init(timer, map, flags)`
///
/// # Safety
///
/// Only to be called by a BPF program; the verifier has checked that `timer` is the one in a value
/// of `map`, and that the map is not offloaded, as the program is not.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_init(
    timer: u64,
    map: u64,
    flags: u64,
    _r4: u64,
    _r5: u64,
) -> u64 {
    let init = || {
        let clock = u32::try_from(flags).map_err(|_| EINVAL)?;
        let clock = ClockId::try_from(clock)?;

        // SAFETY: By the safety requirement; programs run in read-side sections.
        unsafe {
            let map = Map::from_raw(map as *mut bindings::bpf_map);
            Slot::from_raw(timer as *mut c_void).init(map, clock)
        }
    };

    to_register(init().map(|()| 0))
}

/// `bpf_timer_set_callback(timer, callback)`
///
/// # Safety
///
/// Only to be called by a BPF program; the verifier has checked `timer`, put the code of a callback
/// into `callback`, and the `struct bpf_prog_aux` of the program that both belong to into `aux`.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_set_callback(
    timer: u64,
    callback: u64,
    aux: u64,
    _r4: u64,
    _r5: u64,
) -> u64 {
    let set_callback = || {
        // SAFETY: By the safety requirement, code being nowhere near address zero; programs run in
        // read-side sections, and are valid while they do.
        unsafe {
            let code = NonNull::new_unchecked(callback as *mut c_void);
            let prog = Prog::from_raw((*(aux as *mut bindings::bpf_prog_aux)).prog);
            Slot::from_raw(timer as *mut c_void)
                .timer()?
                .set_callback(prog, Callback::from_raw(code))
        }
    };

    to_register(set_callback().map(|()| 0))
}

/// `bpf_timer_start(timer, nsecs, flags)`
///
/// # Safety
///
/// Only to be called by a BPF program; the verifier has checked `timer`.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_start(
    timer: u64,
    nsecs: u64,
    flags: u64,
    _r4: u64,
    _r5: u64,
) -> u64 {
    let start = || {
        let start = Start::new(nsecs, flags)?;

        // SAFETY: By the safety requirement; programs run in read-side sections.
        unsafe { Slot::from_raw(timer as *mut c_void) }
            .timer()?
            .start(start)
    };

    to_register(start().map(|()| 0))
}

/// `bpf_timer_cancel(timer)`
///
/// # Safety
///
/// Only to be called by a BPF program; the verifier has checked `timer`.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_cancel(
    timer: u64,
    _r2: u64,
    _r3: u64,
    _r4: u64,
    _r5: u64,
) -> u64 {
    // SAFETY: By the safety requirement; programs run in read-side sections.
    let slot = unsafe { Slot::from_raw(timer as *mut c_void) };

    to_register(slot.cancel().map(u64::from))
}

/// The body of the kfunc `bpf_timer_cancel_async(timer)`.
///
/// # Safety
///
/// Only to be called on behalf of a BPF program; the verifier has checked `timer`.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_try_cancel(timer: *mut c_void) -> c_int {
    // SAFETY: By the safety requirement; programs run in read-side sections.
    let timer = unsafe { Slot::from_raw(timer) }.timer();

    match timer.and_then(|timer| timer.try_cancel()) {
        Ok(outcome) => outcome as c_int,
        Err(error) => error.to_errno(),
    }
}

/// Cancels and frees the timer in an element that is deleted or recycled, or whose map has lost its
/// last user reference.
///
/// # Safety
///
/// `timer` must be the `struct bpf_timer` in the value of an element that is not freed before this
/// returns.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_cancel_and_free(timer: *mut c_void) {
    // SAFETY: By the safety requirement.
    unsafe { Slot::cancel_and_free(timer) };
}

/// Makes the queues of the drain ready; called once at boot.
///
/// # Safety
///
/// None, but that is the type of what C calls.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_set_up_queues() -> c_int {
    defer::set_up_queues().map_or_else(|error| error.to_errno(), |()| 0)
}
