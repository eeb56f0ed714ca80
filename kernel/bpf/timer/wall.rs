// SPDX-License-Identifier: GPL-2.0-only

//! Timers on the real-time clock.
//!
//! An absolute start means a time of day, so setting the clock has to move it; a relative one means
//! a time from now on, and is not to be moved. The hrtimer core has a base for either, and a timer
//! cannot change its base while its callback runs. So these timers have an hrtimer on each.

use crate::{
    command::Start,
    timer::Timer, //
};

use kernel::{
    bpf::Map,
    ffi::c_void,
    new_spinlock_irq,
    prelude::*,
    sync::SpinLockIrq,
    time::hrtimer::{
        dynamic::{
            CancelWait,
            ClockId,
            DynHrTimer,
            DynHrTimerCallback,
            StartMode,
            TryCancel, //
        },
        HrTimerRestart, //
    },
};

/// Which of the two hrtimers.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Which {
    Relative,
    Absolute,
}

/// A timer on the real-time clock.
#[pin_data]
#[repr(C)]
pub(crate) struct WallTimer {
    /// Its own hrtimer is for relative starts.
    #[pin]
    pub(crate) timer: Timer,
    #[pin]
    absolute: DynHrTimer<WallTimer>,
    /// Which hrtimer is started for a time that never comes, since it was to be cancelled in favour
    /// of the other while its callback ran. The lock makes one step of changing from one to the
    /// other.
    #[pin]
    parked: SpinLockIrq<Option<Which>>,
}

kernel::impl_has_dyn_hr_timer! {
    impl HasDynHrTimer for WallTimer { self.absolute }
}

impl DynHrTimerCallback for WallTimer {
    fn run(&self) -> HrTimerRestart {
        self.unpark();
        self.timer.expire(&self.absolute);
        HrTimerRestart::NoRestart
    }
}

impl WallTimer {
    /// Returns an initializer for a timer that is stopped and has no callback.
    ///
    /// # Safety
    ///
    /// As for [`Timer::new`].
    pub(crate) unsafe fn new(map: &Map, value: *mut c_void) -> impl PinInit<Self> + '_ {
        pin_init!(Self {
            // SAFETY: By the safety requirement; the timer is that of a `WallTimer`.
            timer <- unsafe { Timer::new_in_wall(map, value) },
            absolute <- DynHrTimer::new(ClockId::RealTime, StartMode::ABSOLUTE),
            parked <- new_spinlock_irq!(None),
        })
    }

    /// Starts one hrtimer and cancels the other.
    ///
    /// # Safety
    ///
    /// As for [`DynHrTimer::start`], for both hrtimers.
    pub(crate) unsafe fn arm(&self, start: Start) {
        let expires = start.nsecs as i64;
        let mut parked = self.parked.lock();

        // SAFETY: By the safety requirement.
        unsafe {
            if start.absolute {
                *parked = put_off(&self.timer.hrtimer, StartMode::RELATIVE, Which::Relative);
                self.absolute.start(expires, start.mode());
            } else {
                *parked = put_off(&self.absolute, StartMode::ABSOLUTE, Which::Absolute);
                self.timer.hrtimer.start(expires, start.mode());
            }
        }
    }

    /// Cancels an hrtimer that is parked, unless its callback runs again or still.
    pub(crate) fn unpark(&self) {
        let mut parked = self.parked.lock();
        let outcome = match *parked {
            Some(Which::Relative) => self.timer.hrtimer.try_to_cancel(),
            Some(Which::Absolute) => self.absolute.try_to_cancel(),
            None => return,
        };

        if outcome != TryCancel::Running {
            *parked = None;
        }
    }

    /// Cancels both, unless the callback runs.
    pub(crate) fn disarm(&self) -> TryCancel {
        let mut parked = self.parked.lock();
        let hrtimer = &self.timer.hrtimer;

        if hrtimer.is_running() || self.absolute.is_running() {
            return TryCancel::Running;
        }
        let outcomes = [
            (hrtimer.try_to_cancel(), Which::Relative),
            (self.absolute.try_to_cancel(), Which::Absolute),
        ];
        if outcomes
            .iter()
            .any(|(outcome, _)| *outcome == TryCancel::Running)
        {
            return TryCancel::Running;
        }
        let parked = parked.take();
        let armed = outcomes
            .iter()
            .any(|&(outcome, which)| outcome == TryCancel::Cancelled && parked != Some(which));
        if armed {
            TryCancel::Cancelled
        } else {
            TryCancel::Inactive
        }
    }

    pub(crate) fn begin_wait(&self) -> Result<CancelWait> {
        CancelWait::begin(&[self.timer.hrtimer.id(), self.absolute.id()])
    }

    /// Cancels both and waits for the callback; returns whether one was armed.
    pub(crate) fn cancel_in(&self, wait: &CancelWait) -> bool {
        // Not counted as armed, and cancelled with the rest.
        let parked = self.parked.lock().take();
        let relative = self.timer.hrtimer.cancel_in(wait);
        let absolute = self.absolute.cancel_in(wait);

        (relative && parked != Some(Which::Relative))
            || (absolute && parked != Some(Which::Absolute))
    }
}

/// Cancels a timer or, if its callback runs, parks it; returns `which` if so.
///
/// # Safety
///
/// As for [`DynHrTimer::start`].
unsafe fn put_off<T: DynHrTimerCallback>(
    timer: &DynHrTimer<T>,
    mode: StartMode,
    which: Which,
) -> Option<Which> {
    if timer.try_to_cancel() != TryCancel::Running {
        return None;
    }
    // The callback may have started it again, and it cannot be cancelled before that returns.
    // SAFETY: By the safety requirement.
    unsafe { timer.start(i64::MAX, mode) };
    Some(which)
}
