// SPDX-License-Identifier: GPL-2.0-only

//! Timers on the real-time clock.
//!
//! An absolute start means a time of day, so setting the clock has to move it; a relative one means
//! a time from now on, and is not to be moved. The hrtimer core has a base for either, and a timer
//! cannot change its base while its callback runs. So these timers have an hrtimer on each.

use crate::timer::{
    Timer,
    TimerPtr, //
};

use kernel::{
    bpf::Element,
    prelude::*,
    time::hrtimer::soft::{
        ClockId,
        ItemPtr,
        SoftExpiry,
        SoftHrTimer,
        SoftHrTimerCallback,
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
    pub(super) hrtimer: SoftHrTimer<WallTimer>,
}

static_assert!(size_of::<WallTimer>() <= 256);

kernel::impl_has_soft_hr_timer! {
    // SAFETY: A `WallTimer` is dropped as its `timer` is.
    unsafe impl HasSoftHrTimer for WallTimer { self.hrtimer as bpf_timer_wall_cb }
}

impl SoftHrTimerCallback for WallTimer {
    fn run(this: ItemPtr<'_, Self>, expiry: &SoftExpiry) {
        TimerPtr::from(this).expire(expiry);
    }
}

impl WallTimer {
    /// Returns an initializer for a timer that is stopped and has no callback, for the slot in
    /// `element`.
    pub(crate) fn new(element: Element<'_>) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            // SAFETY: `Timer::new()` makes the timer of a `WallTimer` here.
            timer <- unsafe { Timer::new(element, ClockId::RealTime) },
            hrtimer <- SoftHrTimer::new(ClockId::RealTime, StartMode::ABSOLUTE),
        }? Error)
    }
}
