// SPDX-License-Identifier: GPL-2.0

//! Timers whose clock and mode are chosen at run time.
//!
//! [`HrTimer`] has its clock and mode in its type, and ties the life of the timer to a handle that
//! waits for the callback when it is dropped. A [`SoftHrTimer`] serves users who get clock and mode
//! from someone else, such as user space or a BPF program, and who look after the life of the timer
//! in another way, such as RCU. It is always expired in softirq context.
//!
//! The vocabulary and the states are those of the [parent module](super). A start moves a timer
//! that is **running** or **started**. [`try_to_cancel`] never waits. [`cancel`] fails if it would
//! wait for itself: in the expiry of the same timer, or in one of several expiries that wait for
//! each other; see [`CancelWait`].
//!
//! On `PREEMPT_RT`, an expiry runs in a thread and can be preempted, by others that cancel the
//! timer, too. There [`cancel`] blocks instead of spinning, and lends its priority to the thread.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)
//!
//! [`HrTimer`]: super::HrTimer
//! [`try_to_cancel`]: SoftHrTimer::try_to_cancel
//! [`cancel`]: SoftHrTimer::cancel
//!
//! # Examples
//!
//! ```
//! use kernel::sync::{atomic::{Atomic, Relaxed}, Completion};
//! use kernel::time::hrtimer::soft::*;
//!
//! #[pin_data]
//! struct Alarm {
//!     #[pin]
//!     timer: SoftHrTimer<Self>,
//!     #[pin]
//!     rang: Completion,
//!     cancels_itself: Atomic<bool>,
//! }
//!
//! kernel::impl_has_soft_hr_timer! {
//!     // SAFETY: The one alarm is dropped below, after its timer was cancelled.
//!     unsafe impl HasSoftHrTimer for Alarm { self.timer }
//! }
//!
//! impl SoftHrTimerCallback for Alarm {
//!     fn run(this: ItemPtr<'_, Self>, _: &SoftExpiry) {
//!         this.cancels_itself.store(this.timer.cancel() != Err(EDEADLK), Relaxed);
//!         this.rang.complete_all();
//!     }
//! }
//!
//! let alarm = KBox::try_pin_init(try_pin_init!(Alarm {
//!     timer <- SoftHrTimer::new(ClockId::Monotonic, StartMode::RELATIVE),
//!     rang <- Completion::new(),
//!     cancels_itself: Atomic::new(true),
//! }? Error), GFP_KERNEL)?;
//!
//! assert_eq!(alarm.timer.try_to_cancel(), TryCancel::Inactive);
//!
//! SoftHrTimer::start(&*alarm, 1_000_000, StartMode::RELATIVE);
//! alarm.rang.wait_for_completion();
//! assert_eq!(alarm.timer.cancel(), Ok(false));
//! assert!(!alarm.cancels_itself.load(Relaxed));
//! # Ok::<(), Error>(())
//! ```

mod cancel_wait;

pub use cancel_wait::CancelWait;

use super::HrTimerRestart;
use crate::{
    bindings,
    interrupt::{
        self,
        IrqsOff, //
    },
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic,
        AtomicBasicOps,
        AtomicType, //
    },
    time::{
        BootTime,
        Instant,
        Monotonic,
        RealTime, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

/// The clock that a timer is based on.
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

impl ClockId {
    /// Returns the time of the clock in nanoseconds. Not in NMI.
    #[inline]
    pub fn now(self) -> i64 {
        match self {
            Self::RealTime => Instant::<RealTime>::now().as_nanos(),
            Self::Monotonic => Instant::<Monotonic>::now().as_nanos(),
            Self::BootTime => Instant::<BootTime>::now().as_nanos(),
        }
    }

    /// Returns the time of the clock in nanoseconds. Callable in any context.
    ///
    /// While the clock is being updated, the result can be off by some microseconds, so it may go
    /// back by as much.
    #[inline]
    pub fn now_fast(self) -> i64 {
        // SAFETY: These functions may be called in any context.
        let nsecs = unsafe {
            match self {
                Self::RealTime => bindings::ktime_get_real_fast_ns(),
                Self::Monotonic => bindings::ktime_get_mono_fast_ns(),
                Self::BootTime => bindings::ktime_get_boot_fast_ns(),
            }
        };

        nsecs as i64
    }
}

impl TryFrom<u32> for ClockId {
    type Error = Error;

    /// Converts a clock ID of user space; [`EINVAL`] if it is none of these.
    fn try_from(id: u32) -> Result<Self> {
        match id {
            bindings::CLOCK_REALTIME => Ok(Self::RealTime),
            bindings::CLOCK_MONOTONIC => Ok(Self::Monotonic),
            bindings::CLOCK_BOOTTIME => Ok(Self::BootTime),
            _ => Err(EINVAL),
        }
    }
}

/// How the expiry given to [`SoftHrTimer::start`] is meant, and where the timer expires.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct StartMode(bindings::hrtimer_mode);

impl StartMode {
    /// The expiry is counted from now.
    pub const RELATIVE: Self = Self(bindings::hrtimer_mode_HRTIMER_MODE_REL_SOFT);
    /// The expiry is a point in time of the clock that the timer is based on.
    pub const ABSOLUTE: Self = Self(bindings::hrtimer_mode_HRTIMER_MODE_ABS_SOFT);

    /// Relative or absolute; if `pinned`, the timer expires on the CPU that starts it.
    #[inline]
    pub const fn new(absolute: bool, pinned: bool) -> Self {
        const PINNED: u32 = bindings::hrtimer_mode_HRTIMER_MODE_PINNED;
        const { assert!(Self::RELATIVE.0 == Self::ABSOLUTE.0 | 1 && PINNED == 2) };

        // This takes no branch, since each start does it.
        Self(Self::ABSOLUTE.0 | !absolute as u32 | (pinned as u32 * PINNED))
    }
}

/// The result of an attempt to cancel a timer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum TryCancel {
    /// The callback is running, and the timer, if it was started again, still is.
    Running = -1,
    /// The timer was not started.
    Inactive = 0,
    /// The timer was started, and is not any more.
    Cancelled = 1,
}

impl TryCancel {
    #[inline]
    fn from_c(ret: crate::ffi::c_int) -> Self {
        match ret {
            0 => Self::Inactive,
            1.. => Self::Cancelled,
            _ => Self::Running,
        }
    }
}

/// Declares that a type has a [`SoftHrTimer`] field.
///
/// Implemented with [`impl_has_soft_hr_timer!`](crate::impl_has_soft_hr_timer).
///
/// # Safety
///
/// - `EXPIRED` must be as documented.
/// - The two methods must be inverses of each other, and name an aligned field of `Self`.
/// - Once its timer was started, an item must stay alive and where it is, and all references to it
///   must be shared ones: the callback has one, on any CPU. A module that has `EXPIRED` must stay
///   loaded. This ends when [`SoftHrTimer::cancel`] returns [`Ok`], or
///   [`SoftHrTimer::try_to_cancel`] anything but [`TryCancel::Running`], unless the timer is
///   started again.
pub unsafe trait HasSoftHrTimer: Sized {
    /// The function that the hrtimer core calls: [`expired::<Self>`](expired), or one that does the
    /// same.
    const EXPIRED: unsafe extern "C" fn(*mut bindings::hrtimer) -> bindings::hrtimer_restart;

    /// Returns a pointer to the timer in `this`.
    ///
    /// # Safety
    ///
    /// `this` must point at a live `Self`.
    unsafe fn raw_get_timer(this: *const Self) -> *const SoftHrTimer<Self>;

    /// Returns a pointer to the item that has `timer`.
    ///
    /// # Safety
    ///
    /// `timer` must point at the timer field of a `Self`.
    unsafe fn timer_container_of(timer: *mut SoftHrTimer<Self>) -> *mut Self;
}

/// Implements [`HasSoftHrTimer`](crate::time::hrtimer::soft::HasSoftHrTimer); see the module's
/// example.
///
/// With `self.field as symbol`, what the hrtimer core calls is a function of that name, which
/// tracers and stack traces show.
#[macro_export]
macro_rules! impl_has_soft_hr_timer {
    (unsafe impl HasSoftHrTimer for $self:ty { self.$field:ident }) => {
        $crate::impl_has_soft_hr_timer! {
            @impl $self, $field, $crate::time::hrtimer::soft::expired::<$self>
        }
    };
    (unsafe impl HasSoftHrTimer for $self:ty { self.$field:ident as $symbol:ident }) => {
        /// Calls the item of a timer that has expired.
        ///
        /// # Safety
        ///
        /// As for [`expired`]($crate::time::hrtimer::soft::expired).
        #[no_mangle]
        unsafe extern "C" fn $symbol(
            timer: *mut $crate::bindings::hrtimer,
        ) -> $crate::bindings::hrtimer_restart {
            // SAFETY: By the safety requirement.
            unsafe { $crate::time::hrtimer::soft::expired::<$self>(timer) }
        }

        $crate::impl_has_soft_hr_timer! { @impl $self, $field, $symbol }
    };
    (@impl $self:ty, $field:ident, $expired:expr) => {
        // The compiler refuses this for a field that may not be aligned.
        const _: fn(&$self) -> &$crate::time::hrtimer::soft::SoftHrTimer<$self> =
            |this| &this.$field;

        // SAFETY: The pointers only type-check if the field is a `SoftHrTimer<Self>`, which is
        // aligned, as checked above. The rest is promised where the macro is used.
        unsafe impl $crate::time::hrtimer::soft::HasSoftHrTimer for $self {
            const EXPIRED: unsafe extern "C" fn(
                *mut $crate::bindings::hrtimer,
            ) -> $crate::bindings::hrtimer_restart = $expired;

            #[inline]
            unsafe fn raw_get_timer(
                this: *const Self,
            ) -> *const $crate::time::hrtimer::soft::SoftHrTimer<Self> {
                // SAFETY: The caller promises that `this` is live.
                unsafe { &raw const (*this).$field }
            }

            #[inline]
            unsafe fn timer_container_of(
                timer: *mut $crate::time::hrtimer::soft::SoftHrTimer<Self>,
            ) -> *mut Self {
                // SAFETY: The caller promises that `timer` is this field of a `Self`.
                unsafe { $crate::container_of!(timer, Self, $field) }
            }
        }
    };
}

/// Items that have a timer and are told when it expires.
pub trait SoftHrTimerCallback: HasSoftHrTimer + Sync {
    /// Called in softirq context when the timer expires. May start the timer again.
    fn run(this: ItemPtr<'_, Self>, expiry: &SoftExpiry);
}

/// Proves that the caller is in the expiry of a soft timer.
///
/// # Invariants
///
/// As long as a reference to this exists, the caller is in an RCU read-side section and does not
/// migrate to another CPU.
pub struct SoftExpiry(NotThreadSafe);

impl SoftExpiry {
    /// Assumes that the caller is in the expiry of a soft timer.
    ///
    /// # Safety
    ///
    /// For `'a`, the caller must be in an RCU read-side section and must not migrate to another
    /// CPU. A softirq is such a section, on `PREEMPT_RT` as well.
    #[inline(always)]
    pub unsafe fn assume<'a>() -> &'a Self {
        const EXPIRY: &SoftExpiry = &SoftExpiry(NotThreadSafe);

        // INVARIANT: By the safety requirement.
        EXPIRY
    }

    /// Returns what the monotonic clock was, in nanoseconds, when the softirq began.
    ///
    /// Takes an instruction or two. It spares a callback to read the clock that only wants to know
    /// whether some time has come.
    #[inline]
    pub fn began(&self) -> i64 {
        // SAFETY: Callable in any context. By the type invariants, the CPU does not change.
        unsafe { bindings::hrtimer_soft_now() }
    }
}

/// An item that has a timer: a pointer that is valid for `'a`.
///
/// This is how the hrtimer core has it. Unlike a reference, it is also a way to what the item is a
/// part of, and may be what its owner frees it through later.
///
/// # Invariants
///
/// The pointer is valid, for shared access, for `'a`.
pub struct ItemPtr<'a, T>(NonNull<T>, PhantomData<&'a T>);

impl<T> Copy for ItemPtr<'_, T> {}

impl<T> Clone for ItemPtr<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, T> From<&'a T> for ItemPtr<'a, T> {
    #[inline]
    fn from(item: &'a T) -> Self {
        // INVARIANT: A reference is valid.
        Self(NonNull::from(item), PhantomData)
    }
}

impl<T> Deref for ItemPtr<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariants.
        unsafe { self.0.as_ref() }
    }
}

impl<T> ItemPtr<'_, T> {
    /// Creates a pointer to an item.
    ///
    /// # Safety
    ///
    /// `item` must be valid, for shared access, for the lifetime of the result.
    #[inline]
    pub unsafe fn new(item: NonNull<T>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(item, PhantomData)
    }

    /// Returns the address of the item.
    #[inline]
    pub fn as_non_null(self) -> NonNull<T> {
        self.0
    }
}

/// Loads a field that C stores to plainly, under a lock that the caller does not hold.
///
/// An aligned store of a word is taken for atomic. KCSAN would report it with `KCSAN_STRICT`, so
/// it does not watch this load. Orders nothing.
///
/// # Safety
///
/// `field` must be valid for [`Atomic::from_ptr`], but may be stored to plainly.
#[inline(always)]
unsafe fn load_racing<F: AtomicType<Repr: AtomicBasicOps>>(field: *mut F) -> F {
    #[cfg(CONFIG_KCSAN)]
    // SAFETY: Callable in any context. Undone below, in the same context.
    unsafe {
        bindings::kcsan_disable_current()
    };

    // SAFETY: By the safety requirement. Relaxed: orders nothing, as documented.
    let value = unsafe { Atomic::from_ptr(field) }.load(Relaxed);

    #[cfg(CONFIG_KCSAN)]
    // SAFETY: Undoes what was done above.
    unsafe {
        bindings::kcsan_enable_current()
    };
    value
}

/// A timer whose clock and mode are chosen at run time; a field of the `T` that it calls.
///
/// Wraps the kernel's C `struct hrtimer`.
///
/// # Invariants
///
/// `self.timer` is initialized by `hrtimer_setup()` for soft expiry, with
/// [`HasSoftHrTimer::EXPIRED`].
#[pin_data]
#[repr(transparent)]
pub struct SoftHrTimer<T> {
    #[pin]
    timer: Opaque<bindings::hrtimer>,
    _item: PhantomData<T>,
}

// SAFETY: The timer may be used and dropped on any thread.
unsafe impl<T> Send for SoftHrTimer<T> {}
// SAFETY: The C side locks all that changes the timer; the rest only looks at it.
unsafe impl<T> Sync for SoftHrTimer<T> {}

impl<T: SoftHrTimerCallback> SoftHrTimer<T> {
    /// Returns an initializer for a stopped timer on `clock`; callable in any context, but see
    /// below.
    ///
    /// On the real-time clock, a timer is for starts that are absolute, or for starts that are
    /// relative, as `mode` says: setting the clock must change when the former expires, but not the
    /// latter, so those are on the monotonic clock. For the other clocks there is no difference.
    ///
    /// Fails with [`EOPNOTSUPP`] in an NMI if the kernel is built with `DEBUG_OBJECTS_TIMERS`: its
    /// records of timers are under locks that the interrupted code may hold. There, it must not be
    /// called by what traces the code under these locks either.
    pub fn new(clock: ClockId, mode: StartMode) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: `hrtimer_setup()` is called with soft expiry and `EXPIRED`.
            timer <- Opaque::try_ffi_init(move |place: *mut bindings::hrtimer| {
                if cfg!(CONFIG_DEBUG_OBJECTS_TIMERS) && interrupt::in_nmi() {
                    return Err(EOPNOTSUPP);
                }
                // SAFETY: `place` is memory for a timer, which need not be initialized.
                unsafe {
                    bindings::hrtimer_setup(
                        place,
                        Some(T::EXPIRED),
                        clock as bindings::clockid_t,
                        mode.0,
                    )
                };
                Ok(())
            }),
            _item: PhantomData,
        }? Error)
    }

    /// Starts the timer of `item`, or moves it if it is started; callable with interrupts on or
    /// off, but not from code that may have interrupted the hrtimer core: NMI and hrtimer
    /// tracepoints.
    ///
    /// `expires` is in nanoseconds. A timer whose time is past expires before the softirq that
    /// expires timers on that CPU ends. So a callback that always starts a timer for the past keeps
    /// the CPU. A negative `expires` is no time: the timer may expire at any time, or never. On the
    /// real-time clock, `mode` must be absolute or relative as it was for [`Self::new`]; otherwise
    /// the timer expires at the wrong time. Orders nothing beyond the lock of the timer's base.
    #[inline]
    pub fn start<'a>(item: impl Into<ItemPtr<'a, T>>, expires: i64, mode: StartMode)
    where
        T: 'a,
    {
        // SAFETY: By the invariants of `ItemPtr` the timer is initialized, for soft expiry, as is
        // `mode`; by the contract of `HasSoftHrTimer` it stays alive.
        unsafe { bindings::hrtimer_start_range_ns(raw_timer(item.into()), expires, 0, mode.0) };
    }

    /// Does what [`Self::start`] does, with interrupts off. Takes some instructions less.
    #[inline]
    pub fn start_irqoff<'a>(
        item: impl Into<ItemPtr<'a, T>>,
        expires: i64,
        mode: StartMode,
        _: &IrqsOff,
    ) where
        T: 'a,
    {
        // SAFETY: The conditions are those in `start()`, and interrupts are off.
        unsafe { bindings::hrtimer_start_irqoff(raw_timer(item.into()), expires, mode.0) };
    }

    /// Cancels the timer without waiting; callable where [`Self::start`] is.
    #[inline]
    pub fn try_to_cancel(&self) -> TryCancel {
        // SAFETY: By the type invariants the timer is initialized.
        TryCancel::from_c(unsafe { bindings::hrtimer_try_to_cancel(self.timer.get()) })
    }

    /// Does what [`Self::try_to_cancel`] does, with interrupts off. Takes some instructions less.
    #[inline]
    pub fn try_to_cancel_irqoff(&self, _: &IrqsOff) -> TryCancel {
        // SAFETY: By the type invariants the timer is initialized; interrupts are off.
        TryCancel::from_c(unsafe { bindings::hrtimer_try_to_cancel_irqoff(self.timer.get()) })
    }

    /// Cancels the timer and waits until its callback does not run any more.
    ///
    /// Returns whether it was started; [`EDEADLK`] if it would wait for itself, in which case
    /// nothing was done. Spins, on `PREEMPT_RT` blocks. Only where [`CancelWait::may_wait`] says
    /// so.
    #[inline]
    pub fn cancel(&self) -> Result<bool> {
        // INVARIANT: By the type invariants the timer is initialized, and valid as long as `self`.
        let id = TimerId(self.timer.get(), PhantomData);

        CancelWait::scope([id], |wait| loop {
            match self.try_to_cancel() {
                TryCancel::Inactive => return Ok(false),
                TryCancel::Cancelled => return Ok(true),
                TryCancel::Running => wait.relax()?,
            }
        })
    }

    /// Returns when the timer expires, or was last to expire, in nanoseconds of the clock that it
    /// is based on. For a timer on the real-time clock that is relative, see [`Self::new`], that is
    /// the monotonic clock. Outside of the callback, the result may be outdated at once. Orders
    /// nothing.
    #[inline]
    pub fn expires(&self) -> i64 {
        // SAFETY: By the type invariants the timer is initialized. On 32-bit machines, a start at
        // the same time may show half of its value.
        unsafe { load_racing(&raw mut (*self.timer.get()).node.expires) }
    }

    /// Returns whether the timer is started and has not expired; that may change at any time.
    /// Orders nothing.
    #[inline]
    pub fn is_queued(&self) -> bool {
        // SAFETY: By the type invariants the timer is initialized. C writes the field by
        // `WRITE_ONCE()`.
        let is_queued = unsafe { Atomic::from_ptr(&raw mut (*self.timer.get()).is_queued) };

        // Relaxed: orders nothing, as documented.
        is_queued.load(Relaxed)
    }

    /// Returns the CPU whose queue the timer is on; `None` if it is not started, has expired, or is
    /// being moved to another CPU. That may change at any time. Orders nothing.
    pub fn cpu(&self) -> Option<u32> {
        if !self.is_queued() {
            return None;
        }
        // All bases were initialized at boot, so this need not be ordered.
        // SAFETY: By the type invariants the timer is initialized.
        let base = unsafe { load_racing(&raw mut (*self.timer.get()).base) };
        // SAFETY: A timer always has a base, and bases are never freed. The field is constant; C
        // changes others at any time, so there is no reference to the base.
        let index = unsafe { (*base).index };

        // A timer that is being moved has a base that is of no CPU, and not one for soft timers.
        if index < bindings::hrtimer_base_type_HRTIMER_BASE_MONOTONIC_SOFT {
            return None;
        }
        // SAFETY: As above. Such a base is part of what a CPU has, which is never freed, and whose
        // number is constant.
        Some(unsafe { (*(*base).cpu_base).cpu })
    }

    /// Returns whether the caller is in the expiry of this timer, or has interrupted it.
    pub fn expires_here(&self) -> bool {
        interrupt::in_serving_softirq() && cancel_wait::expiring_here() == self.timer.get()
    }

    /// Returns whether somebody traces starts of hrtimers.
    #[inline]
    pub fn start_is_traced() -> bool {
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            // SAFETY: It is always fine to ask for the static key of a tracepoint.
            unsafe {
                crate::jump_label::static_branch_unlikely!(
                    bindings::__tracepoint_hrtimer_start,
                    bindings::tracepoint,
                    key
                )
            }
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        {
            false
        }
    }

    /// Returns what tells the timer of `item` from all others that there are at the same time.
    #[inline]
    pub fn id<'a>(item: impl Into<ItemPtr<'a, T>>) -> TimerId<'a>
    where
        T: 'a,
    {
        // INVARIANT: By the invariants of `ItemPtr`, the timer is initialized and valid for `'a`.
        TimerId(raw_timer(item.into()), PhantomData)
    }
}

/// Returns the C timer of an item. It is part of the item, to which the callback gets from there.
#[inline]
fn raw_timer<T: SoftHrTimerCallback>(item: ItemPtr<'_, T>) -> *mut bindings::hrtimer {
    // SAFETY: By the type invariants, the item is live.
    let timer = unsafe { T::raw_get_timer(item.as_non_null().as_ptr()) };

    // CAST: A `SoftHrTimer` is transparent over an `Opaque<hrtimer>`.
    Opaque::cast_into(timer.cast::<Opaque<bindings::hrtimer>>())
}

/// The identity of a timer.
///
/// # Invariants
///
/// The timer is initialized, and valid for `'a`.
#[derive(Copy, Clone)]
pub struct TimerId<'a>(*mut bindings::hrtimer, PhantomData<&'a ()>);

impl TimerId<'_> {
    /// Returns the CPU on which the callback of the timer runs; `None` if it does not run. That may
    /// change at any time. Orders nothing.
    #[cfg(CONFIG_PREEMPT_RT)]
    fn expires_on(self) -> Option<u32> {
        // SAFETY: By the type invariants.
        let cpu = unsafe { bindings::hrtimer_soft_expires_on(self.0) };

        u32::try_from(cpu).ok()
    }
}

/// Calls the item of a timer that has expired.
///
/// # Safety
///
/// Only to be called by the hrtimer core, with the timer of a [`SoftHrTimer<T>`] that is the field
/// of a live `T`.
#[doc(hidden)]
#[inline]
pub unsafe extern "C" fn expired<T: SoftHrTimerCallback>(
    timer: *mut bindings::hrtimer,
) -> bindings::hrtimer_restart {
    // CAST: A `SoftHrTimer` is transparent over an `Opaque<hrtimer>`.
    // SAFETY: The timer was started through `SoftHrTimer::start()`; by the contract of
    // `HasSoftHrTimer` the item stays alive until this returns.
    let item = unsafe {
        let item = T::timer_container_of(timer.cast::<SoftHrTimer<T>>());
        ItemPtr::new(NonNull::new_unchecked(item))
    };

    // SAFETY: The hrtimer core calls this in a softirq.
    let expiry = unsafe { SoftExpiry::assume() };

    cancel_wait::call(|| T::run(item, expiry));
    HrTimerRestart::NoRestart.into_c()
}
