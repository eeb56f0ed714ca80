// SPDX-License-Identifier: GPL-2.0-only

//! The functions that C calls.
//!
//! BPF programs call helpers and a kfunc that are C functions, so that BTF describes them and
//! tracing programs can be attached to them. Each calls the function here that has its name.
//!
//! C header: [`include/linux/bpf_timer.h`](srctree/include/linux/bpf_timer.h)

use crate::{
    drain,
    slot::Slot,
    start::Start, //
};

use kernel::{
    bindings,
    bpf::{
        Callback,
        Element,
        Map,
        Prog, //
    },
    error::from_result,
    ffi::{
        c_int,
        c_long,
        c_void, //
    },
    prelude::*,
    time::hrtimer::soft::ClockId, //
};

use core::ptr::NonNull;

/// Does the work of the helper `bpf_timer_init()`.
///
/// # Safety
///
/// Only a BPF program may call this, by the helper. The verifier has checked that `timer` is the
/// one in a value of `map`. It has also checked that `map` is not offloaded, because the program is
/// not.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_init(
    timer: *mut bindings::bpf_timer,
    map: *mut bindings::bpf_map,
    flags: u64,
) -> c_long {
    from_result(|| {
        let clock = ClockId::try_from(u32::try_from(flags).map_err(|_| EINVAL)?)?;
        // SAFETY: By the safety requirement, and a timer is not at address zero; programs run in
        // read-side sections.
        let element =
            unsafe { Element::from_timer(Map::from_raw(map), NonNull::new_unchecked(timer)) };

        Slot::init(element, clock).map(|()| 0)
    })
}

/// Does the work of the helper `bpf_timer_set_callback()`.
///
/// # Safety
///
/// Only a BPF program may call this, by the helper. The verifier has checked `timer`. It has put
/// the address of a callback's code into `callback_fn`. `prog` is the program of that callback.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_set_callback(
    timer: *mut bindings::bpf_timer,
    callback_fn: *mut c_void,
    prog: *mut bindings::bpf_prog,
) -> c_long {
    from_result(|| {
        // SAFETY: By the safety requirement, which says that the callback is a function of `prog`;
        // code is never at address zero. Programs run in read-side sections, and are valid while
        // they do.
        unsafe {
            let callback = Callback::from_raw(NonNull::new_unchecked(callback_fn));
            Slot::from_raw(timer)
                .timer()?
                .set_callback(Prog::from_raw(prog), callback)?;
        }
        Ok(0)
    })
}

/// Does the work of the helper `bpf_timer_start()`.
///
/// # Safety
///
/// Only a BPF program may call this, by the helper. The verifier has checked `timer`.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_start(
    timer: *mut bindings::bpf_timer,
    nsecs: u64,
    flags: u64,
) -> c_long {
    from_result(|| {
        let start = Start::new(nsecs, flags)?;

        // SAFETY: By the safety requirement; programs run in read-side sections.
        unsafe { Slot::from_raw(timer) }.timer()?.start(start)?;
        Ok(0)
    })
}

/// Does the work of the helper `bpf_timer_cancel()`.
///
/// # Safety
///
/// Only a BPF program may call this, by the helper. The verifier has checked `timer`.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_cancel(timer: *mut bindings::bpf_timer) -> c_long {
    from_result(|| {
        // SAFETY: By the safety requirement; programs run in read-side sections.
        let timer = unsafe { Slot::from_raw(timer) }.timer()?;

        Ok(timer.cancel()? as c_long)
    })
}

/// Does the work of the kfunc `bpf_timer_cancel_async()`.
///
/// # Safety
///
/// Only a BPF program may call this, by the kfunc. The verifier has checked `timer`.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_cancel_async(
    timer: *mut bindings::bpf_timer,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement; programs run in read-side sections.
        let timer = unsafe { Slot::from_raw(timer) }.timer()?;

        Ok(timer.try_cancel()? as c_int)
    })
}

/// Does the work of the kfunc `bpf_timer_info()`.
///
/// # Safety
///
/// Only a BPF program may call this, by the kfunc. The verifier has checked `timer`. `info` must
/// be valid for writes.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_info(
    timer: *mut bindings::bpf_timer,
    info: *mut bindings::bpf_timer_info,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement; programs run in read-side sections.
        unsafe { info.write(Slot::from_raw(timer).timer()?.info()?) };
        Ok(0)
    })
}

/// Cancels and frees the timer in an element that is deleted or recycled, or whose map has lost its
/// last user reference.
///
/// # Safety
///
/// `timer` must be the `struct bpf_timer` in the value of an element that is not freed before this
/// returns.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_cancel_and_free(timer: *mut bindings::bpf_timer) {
    // SAFETY: By the safety requirement.
    unsafe { Slot::cancel_and_free(timer) };
}

/// Makes the queues of the drain ready; called once at boot.
///
/// # Safety
///
/// None, but C calls functions of this type.
#[export]
pub(crate) unsafe extern "C" fn bpf_timer_rust_init_queues() -> c_int {
    from_result(|| drain::set_up_queues().map(|()| 0))
}
