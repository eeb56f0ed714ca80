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
    time::hrtimer::dynamic::{
        CancelWait,
        ClockId,
        DynHrTimer,
        DynHrTimerCallback,
        StartMode,
        TryCancel, //
    },
};

/// Which of the two hrtimers.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Relative,
    Absolute,
}

impl Which {
    fn of(start: Start) -> Self {
        if start.is_absolute() {
            Which::Absolute
        } else {
            Which::Relative
        }
    }

    fn other(self) -> Self {
        match self {
            Which::Relative => Which::Absolute,
            Which::Absolute => Which::Relative,
        }
    }

    fn mode(self) -> StartMode {
        match self {
            Which::Relative => StartMode::RELATIVE,
            Which::Absolute => StartMode::ABSOLUTE,
        }
    }

    /// Returns the expiry that is now, and not before, so that what expires timers comes to an end
    /// between (H10).
    fn now(self) -> i64 {
        match self {
            Which::Relative => 0,
            Which::Absolute => ClockId::RealTime.now(),
        }
    }
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
    #[pin]
    state: SpinLockIrq<State>,
}

/// What is known of both hrtimers. Its lock makes one step of changing from one to the other.
struct State {
    /// Which hrtimer is started for a time that never comes, since it was to be cancelled in favour
    /// of the other while its callback ran.
    parked: Option<Which>,
    /// Whether one of them has expired and its callback not returned: the callback of one timer
    /// does not run twice at a time.
    running: bool,
    /// Whether the other has expired meanwhile.
    again: bool,
}

kernel::impl_has_dyn_hr_timer! {
    impl HasDynHrTimer for WallTimer { self.absolute }
}

impl DynHrTimerCallback for WallTimer {
    fn run(&self) {
        self.expire(&self.absolute, Which::Absolute);
    }
}

impl WallTimer {
    /// Returns an initializer for a timer that is stopped and has no callback.
    ///
    /// # Safety
    ///
    /// As for [`Timer::new`].
    pub(crate) unsafe fn new(map: &Map, value: *mut c_void) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            // SAFETY: By the safety requirement; the timer is that of a `WallTimer`.
            timer <- unsafe { Timer::new_in_wall(map, value) },
            absolute <- DynHrTimer::new(ClockId::RealTime, StartMode::ABSOLUTE),
            state <- new_spinlock_irq!(State {
                parked: None,
                running: false,
                again: false,
            }),
        }? Error)
    }

    /// Starts one hrtimer and cancels the other.
    ///
    /// # Safety
    ///
    /// As for [`DynHrTimer::start`], for both hrtimers.
    #[cold]
    pub(crate) unsafe fn arm(&self, start: Start) {
        let which = Which::of(start);
        let mut state = self.state.lock();

        // What has expired while the callback runs is moved, too.
        state.again = false;
        // SAFETY: By the safety requirement.
        unsafe {
            state.parked = self.cancel_or_park(which.other());
            self.start(which, start.nsecs as i64, start.mode());
        }
    }

    /// Cancels an hrtimer or, if its callback runs, parks it; returns `which` if so.
    ///
    /// # Safety
    ///
    /// As for [`DynHrTimer::start`].
    unsafe fn cancel_or_park(&self, which: Which) -> Option<Which> {
        if self.try_to_cancel(which) != TryCancel::Running {
            return None;
        }
        // The callback may have started it again, and it cannot be cancelled before that returns.
        // SAFETY: By the safety requirement.
        unsafe { self.start(which, i64::MAX, which.mode()) };
        Some(which)
    }

    /// Starts an hrtimer, or moves it.
    ///
    /// # Safety
    ///
    /// As for [`DynHrTimer::start`].
    unsafe fn start(&self, which: Which, expires: i64, mode: StartMode) {
        // SAFETY: By the safety requirement.
        unsafe {
            match which {
                Which::Relative => DynHrTimer::start(&self.timer, expires, mode),
                Which::Absolute => DynHrTimer::start(self, expires, mode),
            }
        }
    }

    fn try_to_cancel(&self, which: Which) -> TryCancel {
        match which {
            Which::Relative => self.timer.hrtimer.try_to_cancel(),
            Which::Absolute => self.absolute.try_to_cancel(),
        }
    }

    /// Calls the callback for one of the hrtimers, unless it runs for the other, which then expires
    /// again.
    pub(crate) fn expire<T: DynHrTimerCallback>(&self, hrtimer: &DynHrTimer<T>, which: Which) {
        {
            let mut state = self.state.lock();

            self.unpark(&mut state);
            if state.running {
                // Unless it was moved after it expired, and before it got here.
                if state.parked != Some(which) {
                    state.again = true;
                }
                return;
            }
            state.running = true;
        }
        self.timer.expire(hrtimer);

        let mut state = self.state.lock();
        state.running = false;
        // By way of the hrtimer core, as if it had been started for now. This one is not armed for
        // another time: who had started it so would have put the other off.
        if core::mem::take(&mut state.again) {
            state.parked.take_if(|parked| *parked == which);
            // SAFETY: A running expiry keeps the timer, and whoever frees it cancels this after it.
            unsafe { self.start(which, which.now(), which.mode()) };
        }
    }

    /// Cancels an hrtimer that is parked, unless its callback still runs.
    fn unpark(&self, state: &mut State) {
        state
            .parked
            .take_if(|parked| self.try_to_cancel(*parked) != TryCancel::Running);
    }

    /// Cancels both, unless the callback runs.
    #[cold]
    pub(crate) fn disarm(&self) -> TryCancel {
        let mut state = self.state.lock();

        if self.timer.hrtimer.is_running() || self.absolute.is_running() {
            return TryCancel::Running;
        }
        // Not counted as armed.
        self.unpark(&mut state);

        match (
            self.try_to_cancel(Which::Relative),
            self.try_to_cancel(Which::Absolute),
        ) {
            (TryCancel::Running, _) | (_, TryCancel::Running) => TryCancel::Running,
            (TryCancel::Cancelled, _) | (_, TryCancel::Cancelled) => TryCancel::Cancelled,
            (TryCancel::Inactive, TryCancel::Inactive) => TryCancel::Inactive,
        }
    }

    /// Does what [`Timer::cancel`] does.
    #[cold]
    pub(crate) fn cancel(&self) -> Result<bool> {
        let both = [self.timer.hrtimer.id(), self.absolute.id()];

        CancelWait::scope(both, |wait| self.timer.stop(|| self.cancel_in(wait)))
    }

    /// Cancels both and waits for the callback; returns whether one was armed.
    fn cancel_in(&self, wait: &CancelWait) -> bool {
        let mut armed = false;

        // A callback that runs may start either, so go on until neither runs nor is armed at once.
        loop {
            match self.disarm() {
                TryCancel::Running => {
                    armed |= self.cancel_one_in(Which::Relative, wait);
                    armed |= self.cancel_one_in(Which::Absolute, wait);
                }
                outcome => return armed || outcome == TryCancel::Cancelled,
            }
        }
    }

    /// Cancels an hrtimer and waits for its callback; returns whether it was armed.
    fn cancel_one_in(&self, which: Which, wait: &CancelWait) -> bool {
        let active = match which {
            Which::Relative => self.timer.hrtimer.cancel_in(wait),
            Which::Absolute => self.absolute.cancel_in(wait),
        };

        active && !self.was_parked(which)
    }

    /// Returns whether `which`, which was just cancelled, was parked, and with that not armed.
    fn was_parked(&self, which: Which) -> bool {
        let mut state = self.state.lock();

        state.parked.take_if(|parked| *parked == which).is_some()
    }
}
