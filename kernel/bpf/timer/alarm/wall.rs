// SPDX-License-Identifier: GPL-2.0-only

//! Timers on the real-time clock.
//!
//! An absolute start means a time of day, so setting the clock has to move it; a relative one means
//! a time from now on, and is not to be moved. The hrtimer core has a base for either, and a timer
//! cannot change its base while its callback runs. So these timers have an hrtimer on each.

use crate::timer::Timer;

use kernel::{
    bpf::Map,
    ffi::c_void,
    prelude::*,
    time::hrtimer::dynamic::{
        ClockId,
        DynHrTimer,
        DynHrTimerCallback,
        StartMode, //
    },
};

/// A timer on the real-time clock.
#[pin_data]
#[repr(C)]
pub(crate) struct WallTimer {
    /// Its own hrtimer is for times on the monotonic clock.
    #[pin]
    pub(super) timer: Timer,
    #[pin]
    pub(super) wall: DynHrTimer<WallTimer>,
}

static_assert!(size_of::<WallTimer>() <= 256);

kernel::impl_has_dyn_hr_timer! {
    // SAFETY: Made by `Detached::new()` alone, and freed as its `timer` is.
    unsafe impl HasDynHrTimer for WallTimer { self.wall as bpf_timer_wall_cb }
}

impl DynHrTimerCallback for WallTimer {
    fn run(&self) {
        self.timer.expire();
    }
}

impl WallTimer {
    /// Returns an initializer for a timer that is stopped and has no callback.
    ///
    /// # Safety
    ///
    /// `value` must be the value of an element of `map`, with the slot that the timer is for.
    pub(crate) unsafe fn new(map: &Map, value: *mut c_void) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            // SAFETY: By the safety requirement; the timer is that of a `WallTimer`.
            timer <- unsafe { Timer::new_in_wall(map, value) },
            wall <- DynHrTimer::new(ClockId::RealTime, StartMode::ABSOLUTE),
        }? Error)
    }
}
