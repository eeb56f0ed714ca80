// SPDX-License-Identifier: GPL-2.0-only

//! The timer itself.

use crate::{
    callback::CallbackCell,
    links::Links,
    word::WantedWord, //
};

use kernel::{
    bindings,
    bpf::{
        Callback,
        Element,
        Prog, //
    },
    ffi::c_void,
    prelude::*,
    time::hrtimer::soft::{
        ClockId,
        ItemPtr,
        SoftHrTimer,
        StartMode, //
    },
};

use core::{
    ops::Deref,
    ptr::NonNull, //
};

/// A timer, in memory charged to the memory cgroup of its map.
///
/// It is found through its [slot](crate::slot), by readers of RCU or RCU Tasks Trace; through a
/// queue of the [drain](crate::drain); or by its expiry. Each of them has it as a [`TimerPtr`].
/// [Who owns it](crate::owner) frees it.
///
/// # Invariants
///
/// - While the timer is alive, `links` has the pointer to its map, which is not a per-CPU map. The
///   map is valid for a program that calls an operation, for an expiry that has found a callback,
///   and for whoever kills the timer. (A program refers to the map until it is freed itself, after
///   a grace period. Or it refers to an outer map, which frees this one after a grace period.
///   Whoever kills the timer is the code of the map, or a program that has found the element.)
/// - `home` has the address of the value that the timer's slot is in. The value is valid for a
///   program that has found the slot, and in callbacks. No callback begins after the grace period
///   that follows the timer's death.
/// - A timer that is alive was in its slot while the element was in the map. Whoever takes the
///   element out kills the timer, and the element is not freed before a grace period after that. So
///   it outlives the callbacks. Before it is alive, a timer is not armed.
/// - If the clock in `home` is the real-time one, the timer is the first field of a
///   [`WallTimer`](crate::alarm::WallTimer).
#[pin_data]
#[repr(C)]
pub(crate) struct Timer {
    /// The first field, so that the tracepoints of hrtimers and ours show the same address, except
    /// for absolute starts of wall-clock timers.
    #[pin]
    pub(crate) hrtimer: SoftHrTimer<Timer>,
    pub(crate) callback: CallbackCell,
    pub(crate) word: WantedWord,
    pub(crate) links: Links,
    home: Home,
}

// The size of two cache lines, and of a slab that is not shared with anything larger.
static_assert!(size_of::<Timer>() <= 128);

kernel::impl_has_soft_hr_timer! {
    // SAFETY: Only a `TimerBox` drops a timer. Either the timer was never started, or
    // `Corpse::after_grace_period()` has cancelled it.
    unsafe impl HasSoftHrTimer for Timer { self.hrtimer as bpf_timer_cb }
}

/// The value that a timer is in, and its clock, in the bits of the address that are zero since a
/// value with a `struct bpf_timer` has the alignment of that.
///
/// # Invariants
///
/// The bits of [`Home::CLOCK`] are a [`ClockId`], and the others the address of a value.
#[derive(Copy, Clone)]
struct Home(NonNull<c_void>);

// SAFETY: An address and a clock are the same on all CPUs.
unsafe impl Send for Home {}
// SAFETY: As above.
unsafe impl Sync for Home {}

impl Home {
    const CLOCK: usize = align_of::<bindings::bpf_timer>() - 1;

    fn new(value: NonNull<c_void>, clock: ClockId) -> Self {
        const { assert!(ClockId::BootTime as usize <= Self::CLOCK) };

        // INVARIANT: The bits were zero.
        Self(value.map_addr(|addr| addr | clock as usize))
    }

    #[inline]
    fn value(self) -> NonNull<c_void> {
        let value = self.0.as_ptr().map_addr(|addr| addr & !Self::CLOCK);

        // SAFETY: By the type invariants, this is the address of a value, which is not zero.
        unsafe { NonNull::new_unchecked(value) }
    }

    #[inline]
    fn clock(self) -> ClockId {
        let clock = (self.0.addr().get() & Self::CLOCK) as i32;

        // A read and not a transmute(): with debug assertions, rustc 1.97 checks the latter, and
        // calls a function that objtool does not know.
        // SAFETY: By the type invariants, these are the bits of a clock.
        unsafe { (&raw const clock).cast::<ClockId>().read() }
    }
}

/// Returns the clock for times from now on, which setting a clock must not move.
#[inline]
pub(crate) fn steady(clock: ClockId) -> ClockId {
    match clock {
        ClockId::RealTime => ClockId::Monotonic,
        steady => steady,
    }
}

impl Timer {
    /// Returns an initializer for a timer that is stopped and has no callback, for the slot in
    /// `element`.
    ///
    /// # Safety
    ///
    /// If `clock` is the real-time one, the timer must be that of a
    /// [`WallTimer`](crate::alarm::WallTimer).
    pub(crate) unsafe fn new(
        element: Element<'_>,
        clock: ClockId,
    ) -> impl PinInit<Self, Error> + '_ {
        // INVARIANT: The timer is for the slot in `element`, and dies with that. The safety
        // requirement says the rest.
        try_pin_init!(Self {
            hrtimer <- SoftHrTimer::new(steady(clock), StartMode::ABSOLUTE),
            callback: CallbackCell::new(),
            word: WantedWord::new(),
            links: Links::new(element.map()),
            home: Home::new(element.value(), clock),
        }? Error)
    }

    /// Returns the value that the timer is in.
    #[inline]
    pub(crate) fn value(&self) -> NonNull<c_void> {
        self.home.value()
    }

    /// Returns the clock of the timer.
    #[inline]
    pub(crate) fn clock(&self) -> ClockId {
        self.home.clock()
    }

    /// Sets what the timer calls.
    ///
    /// [`EPERM`] if the map has no user reference, [`ENOENT`] if the timer is dead or the program
    /// is going away, [`EINVAL`] if the timer is being made.
    ///
    /// # Safety
    ///
    /// `callback` must be a function of `prog`.
    #[inline]
    pub(crate) unsafe fn set_callback(&self, prog: &Prog, callback: Callback) -> Result {
        let map = match self.map() {
            Ok(map) => map,
            Err(_) => match self.find()? {
                Some(map) => map,
                None => return Ok(()),
            },
        };

        // A callback that is set while the last user reference goes away is dropped when the map
        // frees the timer.
        if !map.has_user_refs() {
            return Err(EPERM);
        }
        // SAFETY: By the safety requirement.
        unsafe { self.callback.set(prog, callback) }
    }
}

/// A timer that may be used: an [`ItemPtr`] that has the operations of a timer.
#[derive(Copy, Clone)]
pub(crate) struct TimerPtr<'a>(ItemPtr<'a, Timer>);

impl<'a> TimerPtr<'a> {
    /// Creates a pointer to a timer.
    ///
    /// # Safety
    ///
    /// The timer must be initialized, and must not be freed for `'a`.
    #[inline]
    pub(crate) unsafe fn new(timer: NonNull<Timer>) -> Self {
        // SAFETY: By the safety requirement.
        Self(unsafe { ItemPtr::new(timer) })
    }

    #[inline]
    pub(crate) fn as_non_null(self) -> NonNull<Timer> {
        self.0.as_non_null()
    }

    /// Returns the timer as the hrtimer core has it.
    #[inline]
    pub(crate) fn as_item(self) -> ItemPtr<'a, Timer> {
        self.0
    }
}

impl<'a> From<ItemPtr<'a, Timer>> for TimerPtr<'a> {
    #[inline]
    fn from(item: ItemPtr<'a, Timer>) -> Self {
        Self(item)
    }
}

impl Deref for TimerPtr<'_> {
    type Target = Timer;

    #[inline]
    fn deref(&self) -> &Timer {
        &self.0
    }
}
