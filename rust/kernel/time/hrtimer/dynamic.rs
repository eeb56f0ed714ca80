// SPDX-License-Identifier: GPL-2.0

//! Timers whose clock and mode are chosen at run time.
//!
//! [`HrTimer`] has its clock and mode in its type, and ties the life of the timer to a handle that
//! waits for the callback when it is dropped. A [`DynHrTimer`] serves users who get clock and mode
//! from someone else, such as user space or a BPF program, and who look after the life of the timer
//! in another way, such as RCU. It is always expired in softirq context.
//!
//! The vocabulary and the states are those of the [parent module](super); in the states **running**
//! and **started** alike, starting moves the timer. What is particular is [`try_to_cancel`], which
//! never waits, and [`callback_running_here`], with which the callers of [`cancel`] can avoid to
//! wait for themselves.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)
//!
//! [`HrTimer`]: super::HrTimer
//! [`try_to_cancel`]: DynHrTimer::try_to_cancel
//! [`callback_running_here`]: DynHrTimer::callback_running_here
//! [`cancel`]: DynHrTimer::cancel
//!
//! # Examples
//!
//! ```
//! use kernel::sync::{atomic::{Atomic, Relaxed}, Completion};
//! use kernel::time::hrtimer::{dynamic::*, HrTimerRestart};
//!
//! #[pin_data]
//! struct Alarm {
//!     #[pin]
//!     timer: DynHrTimer<Self>,
//!     #[pin]
//!     rang: Completion,
//!     by_itself: Atomic<bool>,
//! }
//!
//! kernel::impl_has_dyn_hr_timer! {
//!     impl HasDynHrTimer for Alarm { self.timer }
//! }
//!
//! impl DynHrTimerCallback for Alarm {
//!     fn run(&self) -> HrTimerRestart {
//!         self.by_itself.store(self.timer.callback_running_here(), Relaxed);
//!         self.rang.complete_all();
//!         HrTimerRestart::NoRestart
//!     }
//! }
//!
//! let alarm = KBox::pin_init(pin_init!(Alarm {
//!     timer <- DynHrTimer::new(ClockId::Monotonic),
//!     rang <- Completion::new(),
//!     by_itself: Atomic::new(false),
//! }), GFP_KERNEL)?;
//!
//! assert_eq!(alarm.timer.try_to_cancel(), TryCancel::Inactive);
//!
//! // SAFETY: It is the timer of `alarm`, and cancelled below, before that is dropped.
//! unsafe { alarm.timer.start(1_000_000, StartMode::RELATIVE) };
//! alarm.rang.wait_for_completion();
//! alarm.timer.cancel();
//! assert!(alarm.by_itself.load(Relaxed));
//! assert!(!alarm.timer.callback_running_here());
//! # Ok::<(), Error>(())
//! ```

use super::HrTimerRestart;
use crate::{
    bindings,
    prelude::*,
    types::Opaque, //
};
use core::marker::PhantomData;

/// The clock that a timer is based on.
///
/// As everywhere in the kernel, a timer on the real-time clock that is set up for relative expiry
/// is one on the monotonic clock: setting the clock does not change when it expires.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ClockId {
    /// Wall-clock time, `CLOCK_REALTIME`.
    RealTime = bindings::CLOCK_REALTIME as i32,
    /// Time since boot without suspend, `CLOCK_MONOTONIC`.
    Monotonic = bindings::CLOCK_MONOTONIC as i32,
    /// Time since boot with suspend, `CLOCK_BOOTTIME`.
    BootTime = bindings::CLOCK_BOOTTIME as i32,
}

impl TryFrom<u32> for ClockId {
    type Error = Error;

    /// Converts the number that user space knows a clock by; [`EINVAL`] if it is that of another.
    fn try_from(id: u32) -> Result<Self> {
        match id {
            bindings::CLOCK_REALTIME => Ok(Self::RealTime),
            bindings::CLOCK_MONOTONIC => Ok(Self::Monotonic),
            bindings::CLOCK_BOOTTIME => Ok(Self::BootTime),
            _ => Err(EINVAL),
        }
    }
}

/// How the expiry given to [`DynHrTimer::start`] is meant, and where the timer expires.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct StartMode(bindings::hrtimer_mode);

impl StartMode {
    /// The expiry is counted from now.
    pub const RELATIVE: Self = Self(bindings::hrtimer_mode_HRTIMER_MODE_REL_SOFT);
    /// The expiry is a point in time of the clock that the timer is based on.
    pub const ABSOLUTE: Self = Self(bindings::hrtimer_mode_HRTIMER_MODE_ABS_SOFT);

    /// The timer expires on the CPU that starts it.
    pub const fn pinned(self) -> Self {
        Self(self.0 | bindings::hrtimer_mode_HRTIMER_MODE_PINNED)
    }
}

/// What became of an attempt to cancel a timer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TryCancel {
    /// The timer was not started.
    Inactive,
    /// The timer was started, and is not any more.
    Cancelled,
    /// The callback is running, and the timer, if it was started again, still is.
    Running,
}

/// Declares that a type has a [`DynHrTimer`] field.
///
/// Implemented with [`impl_has_dyn_hr_timer!`](crate::impl_has_dyn_hr_timer).
///
/// # Safety
///
/// `timer_container_of` must return the item that has the timer it is given.
pub unsafe trait HasDynHrTimer: Sized {
    /// Returns a pointer to the item that has `timer`.
    ///
    /// # Safety
    ///
    /// `timer` must point at the timer field of a `Self`.
    unsafe fn timer_container_of(timer: *mut DynHrTimer<Self>) -> *mut Self;
}

/// Implements [`HasDynHrTimer`](crate::time::hrtimer::dynamic::HasDynHrTimer); see the module's
/// example.
#[macro_export]
macro_rules! impl_has_dyn_hr_timer {
    (impl HasDynHrTimer for $self:ty { self.$field:ident }) => {
        // SAFETY: The pointers only type-check if the field is a `DynHrTimer<Self>`.
        unsafe impl $crate::time::hrtimer::dynamic::HasDynHrTimer for $self {
            #[inline]
            unsafe fn timer_container_of(
                timer: *mut $crate::time::hrtimer::dynamic::DynHrTimer<Self>,
            ) -> *mut Self {
                // SAFETY: The caller promises that `timer` is this field of a `Self`.
                unsafe { $crate::container_of!(timer, Self, $field) }
            }
        }
    };
}

/// Items that have a timer and are told when it expires.
pub trait DynHrTimerCallback: HasDynHrTimer + Sync {
    /// Called in softirq context when the timer expires.
    ///
    /// May start the timer again. With [`HrTimerRestart::Restart`] a timer that was not is queued
    /// for the same expiry as before, so this is only of use together with a way to forward it.
    fn run(&self) -> HrTimerRestart;
}

/// A timer whose clock and mode are chosen at run time; a field of the `T` that it calls.
///
/// Wraps the kernel's C `struct hrtimer`.
///
/// # Invariants
///
/// `self.timer` is initialized by `hrtimer_setup()` for soft expiry, with [`expired::<T>`].
#[pin_data]
#[repr(transparent)]
pub struct DynHrTimer<T> {
    #[pin]
    timer: Opaque<bindings::hrtimer>,
    _item: PhantomData<T>,
}

// SAFETY: The timer may be used and dropped on any thread.
unsafe impl<T> Send for DynHrTimer<T> {}
// SAFETY: The C side locks all operations.
unsafe impl<T> Sync for DynHrTimer<T> {}

impl<T: DynHrTimerCallback> DynHrTimer<T> {
    /// Returns an initializer for a stopped timer on `clock`.
    pub fn new(clock: ClockId) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `hrtimer_setup()` is called with soft expiry and `expired`.
            timer <- Opaque::ffi_init(move |place: *mut bindings::hrtimer| {
                // SAFETY: `place` is memory for a timer, which need not be initialized.
                unsafe {
                    bindings::hrtimer_setup(
                        place,
                        Some(expired::<T>),
                        clock as bindings::clockid_t,
                        StartMode::RELATIVE.0,
                    )
                };
            }),
            _item: PhantomData,
        })
    }

    /// Starts the timer, or moves it if it is started; callable with interrupts on or off, but not
    /// from code that may have interrupted the hrtimer core: NMI and hrtimer tracepoints.
    ///
    /// `expires` is in nanoseconds. An expiry in the past expires at once. Orders nothing beyond
    /// the lock of the timer's base.
    ///
    /// # Safety
    ///
    /// - `self` must be the field that [`HasDynHrTimer`] names of a `T`.
    /// - That `T` must stay where it is and alive until the timer was cancelled after this call and
    ///   the callback does not run any more, as [`Self::cancel`] ensures and as the results of
    ///   [`Self::try_to_cancel`] other than [`TryCancel::Running`] tell.
    #[inline]
    pub unsafe fn start(&self, expires: i64, mode: StartMode) {
        // SAFETY: By the type invariants the timer is initialized, for soft expiry as `mode` is;
        // the caller keeps it alive.
        unsafe { bindings::hrtimer_start_range_ns(self.timer.get(), expires, 0, mode.0) };
    }

    /// Cancels the timer without waiting; callable where [`Self::start`] is.
    #[inline]
    pub fn try_to_cancel(&self) -> TryCancel {
        // SAFETY: By the type invariants the timer is initialized.
        match unsafe { bindings::hrtimer_try_to_cancel(self.timer.get()) } {
            0 => TryCancel::Inactive,
            1.. => TryCancel::Cancelled,
            _ => TryCancel::Running,
        }
    }

    /// Cancels the timer and waits until its callback does not run any more.
    ///
    /// Returns whether it was started. Spins, or sleeps on `PREEMPT_RT`, so only for task and
    /// softirq context with interrupts on. It never returns where the callback waits for the
    /// caller, which [`Self::callback_running_here`] tells of the simplest case.
    #[inline]
    pub fn cancel(&self) -> bool {
        // SAFETY: By the type invariants the timer is initialized.
        unsafe { bindings::hrtimer_cancel(self.timer.get()) != 0 }
    }

    /// Returns whether the caller has interrupted, or is called by, an expiry of this timer: from
    /// before the `hrtimer_expire_entry` tracepoint until after `hrtimer_expire_exit`.
    ///
    /// The answer stays the same until the caller returns. Callable in any context in which the
    /// caller does not migrate.
    #[inline]
    pub fn callback_running_here(&self) -> bool {
        // SAFETY: By the type invariants the timer is initialized.
        unsafe { bindings::hrtimer_callback_running_here(self.timer.get()) }
    }
}

/// # Safety
///
/// Only to be called by the hrtimer core, with the timer of a [`DynHrTimer<T>`] that is the field
/// of a live `T`.
unsafe extern "C" fn expired<T: DynHrTimerCallback>(
    timer: *mut bindings::hrtimer,
) -> bindings::hrtimer_restart {
    // CAST: A `DynHrTimer` is transparent over an `Opaque<hrtimer>`.
    // SAFETY: The timer was started through `DynHrTimer::start()`, whose caller keeps the item
    // alive until this returns.
    let item = unsafe { &*T::timer_container_of(timer.cast::<DynHrTimer<T>>()) };

    item.run().into_c()
}
