// SPDX-License-Identifier: GPL-2.0-only

//! The place of a timer in the value of a map: `struct bpf_timer`.

use crate::{
    drain,
    owner::{
        Detached,
        TimerBox, //
    },
    timer::{
        Timer,
        TimerPtr, //
    },
    trace, //
};

use kernel::{
    bindings,
    bpf::Element,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Full,
                Relaxed, //
            },
            Atomic, //
        },
        barrier::{
            self,
            smp_mb, //
        },
    },
    time::hrtimer::soft::ClockId,
    types::Opaque, //
};

use core::ptr::{
    self,
    NonNull, //
};

/// A `struct bpf_timer`. All zeroes, as in a new element, is a slot without a timer.
///
/// # Invariants
///
/// - `timer` is null, or owns a [`Timer`] in memory from [`Map::alloc_nolock`].
/// - References to a slot only exist within read-side sections of RCU or RCU Tasks Trace, in which
///   BPF programs run. [`Slot::cancel_and_free`], which others call, too, does without one.
#[repr(C, align(8))]
pub(crate) struct Slot {
    timer: Atomic<*mut Timer>,
    _reserved: Opaque<u64>,
}

static_assert!(size_of::<Slot>() == size_of::<bindings::bpf_timer>());
static_assert!(align_of::<Slot>() == align_of::<bindings::bpf_timer>());

impl Slot {
    /// Creates a reference to a slot.
    ///
    /// # Safety
    ///
    /// - `slot` must point at the `struct bpf_timer` in the value of an element.
    /// - `'a` must lie within a read-side section of RCU or RCU Tasks Trace before whose end the
    ///   element is not freed.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(slot: *mut bindings::bpf_timer) -> &'a Self {
        // INVARIANT: By the second safety requirement; the map code zeroes new elements and leaves
        // the field to us.
        // SAFETY: By the safety requirements.
        unsafe { &*slot.cast::<Self>() }
    }

    /// Returns the timer; [`EINVAL`] if there is none.
    #[inline]
    pub(crate) fn timer(&self) -> Result<TimerPtr<'_>> {
        // Acquire: pairs with the cmpxchg in `make_timer()`, so the timer is initialized.
        let timer = NonNull::new(self.timer.load(Acquire)).ok_or(EINVAL)?;

        // SAFETY: By the type invariants we are in a read-side section, and a timer that was in its
        // slot at any time in it is not freed before its end (R6).
        Ok(unsafe { TimerPtr::new(timer) })
    }

    /// Puts a new timer into the slot.
    ///
    /// [`EBUSY`] if there is one, [`ENOMEM`], [`EOPNOTSUPP`] as from [`SoftHrTimer::new`],
    /// [`EPERM`] if the map has no user reference, or [`ENOENT`] if the element was deleted, so
    /// that nobody would ever cancel the timer. In a resizable hash, a timer in a deleted element
    /// stays in the slot and cannot be used before the element is in the map again; see
    /// [`Timer::find`].
    ///
    /// [`SoftHrTimer::new`]: kernel::time::hrtimer::soft::SoftHrTimer::new
    pub(crate) fn init(element: Element<'_>, clock: ClockId) -> Result {
        let slot = element.timer().ok_or(EINVAL)?;
        // SAFETY: `slot` is in the value of an element, which is not freed before `element` goes.
        let slot = unsafe { Self::from_raw(slot.as_ptr()) };
        let result = slot.make_timer(element, clock);

        if trace::init_is_on() {
            // Relaxed: the address is only shown.
            trace::init(slot.timer.load(Relaxed), element.map(), clock, &result);
        }
        result
    }

    /// Does what [`Self::init`] does; `element` has this slot.
    fn make_timer(&self, element: Element<'_>, clock: ClockId) -> Result {
        self.vacate(element)?;
        drain::relieve();
        let timer = TimerBox::new(element, clock)?;

        // INVARIANT: The slot owns the timer from here on, which is made for the slot in `element`.
        // Full: publishes the timer, for the Acquire in `timer()`.
        while let Err(_other) = self.timer.cmpxchg(ptr::null_mut(), timer.as_ptr(), Full) {
            self.vacate(element)?;
        }
        // SAFETY: By the type invariants we are in a read-side section, and the timer was in the
        // slot in it (R6).
        let timer = unsafe { TimerPtr::new(timer.into_slot()) };

        match timer.admit(element) {
            Err(ENOENT) if element.map().is_resizable_hash() => Ok(()),
            Err(error) => {
                self.take_back(timer);
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Takes a timer that is not admitted out of the slot.
    ///
    /// Others may have been there since: who frees the element may have taken the timer, and the
    /// element's next owner may have made another one, or had this one admitted.
    pub(crate) fn take_back(&self, timer: TimerPtr<'_>) {
        if timer.word.abandon() {
            self.remove(timer);
        }
    }

    /// Takes `timer` out of the slot, if it is there, and kills it.
    pub(crate) fn remove(&self, timer: TimerPtr<'_>) {
        let timer = timer.as_non_null().as_ptr();

        // Full: as in `cancel_and_free()`. By the type invariants we are in a read-side section, so
        // that no other timer can have the address.
        let taken = self.timer.cmpxchg(timer, ptr::null_mut(), Full);

        if let Ok(Some(timer)) = taken.map(NonNull::new) {
            // SAFETY: By the type invariants the slot owned it; the cmpxchg made it ours.
            unsafe { Detached::from_slot(timer) }.kill();
        }
    }

    /// Empties the slot of a timer that nobody can use; [`EBUSY`] if it has one for the caller to
    /// use, even if the init that made it has not returned.
    #[inline]
    fn vacate(&self, element: Element<'_>) -> Result {
        match self.timer() {
            Ok(timer) => self.settle(timer, element),
            Err(_) => Ok(()),
        }
    }

    /// Settles what becomes of a timer in the slot: it is for the caller to use, [`EBUSY`], or it
    /// is not in the slot any more.
    #[cold]
    fn settle(&self, timer: TimerPtr<'_>, element: Element<'_>) -> Result {
        if timer.word.load().is_unborn() {
            // If it is not admitted, its maker takes it back.
            let _ = timer.admit(element);
        }
        // A dead timer in its slot was abandoned by its maker, which has not found a user of the
        // map, or not the element. The element may belong to somebody else now. Nobody waits until
        // the maker takes the timer out.
        if timer.word.load().is_dead() {
            self.remove(timer);
            return Ok(());
        }
        Err(EBUSY)
    }

    /// Takes the timer, if there is one, out of a slot, cancels it, and frees it when no reader can
    /// have it any more. Callable in any context.
    ///
    /// This needs no read-side section, since it uses the timer as its owner. There is none when a
    /// map loses its last user, or when its elements are freed.
    ///
    /// # Safety
    ///
    /// `slot` must point at the `struct bpf_timer` in the value of an element that is not freed
    /// before this returns.
    pub(crate) unsafe fn cancel_and_free(slot: *mut bindings::bpf_timer) {
        // SAFETY: By the safety requirement.
        let slot = unsafe { &(*slot.cast::<Self>()).timer };

        // Most elements that are freed never had a timer: do not write to those.
        // Relaxed: only tested for null.
        if slot.load(Relaxed).is_null() {
            // If the element was taken out of the map, that was before. Pairs with the barrier in
            // `Timer::admit()`, which looks for it there. The exchange below is such a barrier.
            smp_mb(barrier::Full);
            // Relaxed: as above, and ordered by the barrier.
            if slot.load(Relaxed).is_null() {
                return;
            }
        }
        // Full: of several who come here at once one gets the timer. Pairs with the cmpxchg in
        // `make_timer()`.
        let timer = slot.xchg(ptr::null_mut(), Full);

        if let Some(timer) = NonNull::new(timer) {
            // SAFETY: By the type invariants the slot owned it; the xchg made it ours.
            unsafe { Detached::from_slot(timer) }.kill();
        }
    }
}
