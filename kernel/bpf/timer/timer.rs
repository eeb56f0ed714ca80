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
        Map,
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
    marker::PhantomData,
    mem::transmute,
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
/// - While the timer is alive, programs that call operations, and expiries that have found the
///   callback of a program, use the map in `links`. Such a program refers to the map until it is
///   freed itself, after a grace period. Or it refers to an outer map, which frees this one after a
///   grace period. Whoever kills the timer has the map as well: it is the code of the map, or a
///   program that has found the element. After the timer's death, the map is not used.
/// - `home` names the value that the timer's slot is in. Programs that have found the slot use it,
///   and callbacks do. No callback begins after the grace period that follows the timer's death.
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

// SAFETY: `home` is valid on all CPUs, by the type invariants; all else is `Send`.
unsafe impl Send for Timer {}
// SAFETY: As above; `home` does not change.
unsafe impl Sync for Timer {}

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

        // SAFETY: By the type invariants, these are the bits of a clock.
        unsafe { transmute::<i32, ClockId>(clock) }
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
    #[inline]
    pub(crate) fn set_callback(&self, prog: &Prog, callback: Callback) -> Result {
        match self.map() {
            Ok(map) => self.set_callback_in(map, prog, callback),
            Err(_) => self.set_callback_unborn(prog, callback),
        }
    }

    #[inline]
    fn set_callback_in(&self, map: &Map, prog: &Prog, callback: Callback) -> Result {
        // A callback that is set while the last user reference goes away is dropped when the map
        // frees the timer.
        if !map.has_user_refs() {
            return Err(EPERM);
        }
        self.callback.set(prog, callback)
    }

    #[cold]
    fn set_callback_unborn(&self, prog: &Prog, callback: Callback) -> Result {
        match self.find()? {
            Some(map) => self.set_callback_in(map, prog, callback),
            None => Ok(()),
        }
    }
}

/// A timer that may be used: a pointer that is valid for `'a`.
///
/// Unlike a reference it is also a way to what the timer is in, and may be what its owner frees it
/// through later.
///
/// # Invariants
///
/// The timer is initialized, and not freed for `'a`.
#[derive(Copy, Clone)]
pub(crate) struct TimerPtr<'a>(NonNull<Timer>, PhantomData<&'a Timer>);

impl<'a> TimerPtr<'a> {
    /// Creates a pointer to a timer.
    ///
    /// # Safety
    ///
    /// The timer must be initialized, and must not be freed for `'a`.
    #[inline]
    pub(crate) unsafe fn new(timer: NonNull<Timer>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(timer, PhantomData)
    }

    #[inline]
    pub(crate) fn as_non_null(self) -> NonNull<Timer> {
        self.0
    }

    /// Returns the timer as the hrtimer core has it.
    #[inline]
    pub(crate) fn as_item(self) -> ItemPtr<'a, Timer> {
        // SAFETY: By the type invariants.
        unsafe { ItemPtr::new(self.0) }
    }
}

impl<'a> From<ItemPtr<'a, Timer>> for TimerPtr<'a> {
    #[inline]
    fn from(item: ItemPtr<'a, Timer>) -> Self {
        // INVARIANT: An item is valid for `'a`.
        Self(item.as_non_null(), PhantomData)
    }
}

impl Deref for TimerPtr<'_> {
    type Target = Timer;

    #[inline]
    fn deref(&self) -> &Timer {
        // SAFETY: By the type invariants.
        unsafe { self.0.as_ref() }
    }
}
