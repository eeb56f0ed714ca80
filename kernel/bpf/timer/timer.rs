// SPDX-License-Identifier: GPL-2.0-only

//! The timer itself, and what programs do with it.

use crate::{
    alarm::By,
    callback::CallbackCell,
    links::Links,
    start::{
        steady,
        Start, //
    },
    trace,
    word::{
        WantedWord,
        Wish,
        Word, //
    }, //
};

use kernel::{
    bindings,
    bpf::{
        Callback,
        Map,
        Prog, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    interrupt,
    prelude::*,
    processor::cpu_relax,
    sync::barrier::{
        self,
        smp_mb, //
    },
    time::hrtimer::dynamic::{
        CancelWait,
        ClockId,
        DynHrTimer,
        StartMode,
        TryCancel, //
    },
};

/// A timer, in memory charged to the memory cgroup of its map.
///
/// It is found through its [slot](crate::slot), by readers of RCU or RCU Tasks Trace; through a
/// queue of the [drain](crate::drain); or by its expiry. After its death it is freed by a
/// [`Corpse`](crate::death::Corpse).
///
/// # Invariants
///
/// - The map in `links`, while the timer is alive, is used by operations, that is by programs, and
///   by expiries that have found a callback, that is a program. Each of them refers to the map (or
///   to the map that this one is in, which frees it after a grace period) until it is freed itself,
///   after a grace period. The map is not used to free the timer.
/// - `home` names the value of the element of the map in which the timer's slot is. It is used by
///   operations, that is by programs that have found the slot, and by callbacks, none of which
///   begins after the grace period that follows the timer's death.
/// - A timer that is alive was in its slot while the element was in the map. Whoever takes the
///   element out kills the timer, and the element is not freed before a grace period after that. So
///   it outlives the callbacks. Before it is alive, a timer is not armed.
/// - If the clock in `home` is the real-time one, the timer is the first field of a
///   [`WallTimer`](crate::alarm::WallTimer). As with `container_of!`, a reference to the timer is a
///   way to all of that.
#[pin_data]
#[repr(C)]
pub(crate) struct Timer {
    /// First, so that the address is the same in the tracepoints of hrtimers and of ours, but for
    /// absolute starts of wall-clock timers.
    #[pin]
    pub(crate) hrtimer: DynHrTimer<Timer>,
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

kernel::impl_has_dyn_hr_timer! {
    // SAFETY: A timer is freed by `Corpse::after_grace_period()` alone, which cancels it before, or
    // by `Detached::discard()`, when it was never started.
    unsafe impl HasDynHrTimer for Timer { self.hrtimer as bpf_timer_cb }
}

/// The value that a timer is in, and its clock, in the bits of the address that are zero since a
/// value with a `struct bpf_timer` has the alignment of that.
#[derive(Copy, Clone)]
struct Home(*mut c_void);

impl Home {
    const CLOCK: usize = align_of::<bindings::bpf_timer>() - 1;

    fn new(value: *mut c_void, clock: ClockId) -> Self {
        const { assert!(ClockId::BootTime as usize <= Self::CLOCK) };

        Self(value.map_addr(|addr| addr | clock as usize))
    }

    #[inline]
    fn value(self) -> *mut c_void {
        self.0.map_addr(|addr| addr & !Self::CLOCK)
    }

    #[inline]
    fn clock(self) -> ClockId {
        match self.0.addr() & Self::CLOCK {
            clock if clock == ClockId::RealTime as usize => ClockId::RealTime,
            clock if clock == ClockId::BootTime as usize => ClockId::BootTime,
            _ => ClockId::Monotonic,
        }
    }
}

/// Returns whether this context may have interrupted the hrtimer core, RCU or a program's
/// bookkeeping, so that its alarms must be left to the drain.
#[inline]
pub(crate) fn must_defer() -> bool {
    interrupt::in_hardirq() || interrupt::irqs_disabled()
}

impl Timer {
    /// Returns an initializer for a timer that is stopped and has no callback.
    ///
    /// # Safety
    ///
    /// - `value` must be the value of an element of `map`, with the slot that the timer is for.
    /// - `clock` must not be the real-time one.
    pub(crate) unsafe fn new(
        map: &Map,
        value: *mut c_void,
        clock: ClockId,
    ) -> impl PinInit<Self, Error> + '_ {
        // INVARIANT: By the safety requirement; the timer dies with the element.
        Self::init(map, value, clock)
    }

    /// Returns an initializer for the timer in a [`WallTimer`](crate::alarm::WallTimer), as
    /// [`Self::new`] does.
    ///
    /// # Safety
    ///
    /// As for [`Self::new`], and that is where the timer must be.
    pub(crate) unsafe fn new_in_wall(
        map: &Map,
        value: *mut c_void,
    ) -> impl PinInit<Self, Error> + '_ {
        // INVARIANT: By the safety requirement; the timer dies with the element.
        Self::init(map, value, ClockId::RealTime)
    }

    fn init(map: &Map, value: *mut c_void, clock: ClockId) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            hrtimer <- DynHrTimer::new(steady(clock), StartMode::ABSOLUTE),
            callback: CallbackCell::new(),
            word: WantedWord::new(),
            links: Links::new(map),
            home: Home::new(value, clock),
        }? Error)
    }

    /// Returns the map that the timer belongs to; [`ENOENT`] if the timer is dead, [`EINVAL`] if it
    /// is being made.
    #[inline]
    pub(crate) fn map(&self) -> Result<&Map> {
        let map = self.links.map();

        self.word.load().check_alive()?;
        // SAFETY: The timer was alive after the pointer was read, so that is the map; it is valid
        // by the type invariants.
        Ok(unsafe { &*map })
    }

    /// Makes operations possible, if somebody will cancel the timer: [`EPERM`] if the map has no
    /// user reference, [`ENOENT`] if it does not have the element.
    ///
    /// To be called by readers that have found the timer in its slot, with the timer's map. A timer
    /// that is dead stays dead.
    pub(crate) fn admit(&self, map: &Map) -> Result {
        // R3: Pairs with the full barrier of the atomic64_dec_and_test() of `usercnt`, after which
        // the release looks into the slots, and with the one in `Slot::cancel_and_free()`. Either
        // those find this timer, or this finds no user, or the element deleted.
        smp_mb(barrier::Full);
        if !map.has_user_refs() {
            return Err(EPERM);
        }
        let is_hash = map.is_hash() || map.is_resizable_hash();
        // SAFETY: It is a hash; by the type invariants this is the value of an element of it, which
        // is not freed before the section ends in which the slot was found.
        if is_hash && !unsafe { map.finds(self.value()) } {
            return Err(ENOENT);
        }
        // Not before: nobody can have armed a timer that nobody would cancel.
        self.word.birth();
        Ok(())
    }

    /// Returns the map, for an operation on the timer; [`ENOENT`] if the timer is dead, [`EINVAL`]
    /// if it is being made.
    ///
    /// `None` if the map is a resizable hash from which the element was deleted. Upstream's tests
    /// demand that init, set_callback and start succeed there. They have no effect: nobody would
    /// cancel the timer, and nothing would keep the element until the callback has run. If the
    /// memory becomes an element again, its owner finds the timer there. [`EPERM`] if this cannot
    /// be, since the map has no user reference.
    #[inline]
    pub(crate) fn find(&self) -> Result<Option<&Map>> {
        match self.map() {
            Err(EINVAL) => self.find_unborn(),
            map => map.map(Some),
        }
    }

    #[cold]
    fn find_unborn(&self) -> Result<Option<&Map>> {
        let map = self.links.map();

        if self.word.load().is_dead() {
            return Err(ENOENT);
        }
        // SAFETY: The timer was not dead after the pointer was read, so that is the map; it is
        // valid by the type invariants.
        let map = unsafe { &*map };
        if !map.is_resizable_hash() {
            return Err(EINVAL);
        }
        match self.admit(map) {
            Err(ENOENT) => Ok(None),
            result => result.and_then(|()| self.map().map(Some)),
        }
    }

    /// Returns the value that the timer is in.
    #[inline]
    pub(crate) fn value(&self) -> *mut c_void {
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
        let Some(map) = self.find()? else {
            return Ok(());
        };

        // A callback that is set while the last user reference goes away is dropped when the map
        // frees the timer.
        if !map.has_user_refs() {
            return Err(EPERM);
        }
        self.callback.set(prog, callback)
    }

    /// Arms the timer, or moves it. Callable in any context.
    ///
    /// [`EINVAL`] if it has no callback or is being made, [`ENOENT`] if it is dead.
    #[inline]
    pub(crate) fn start(&self, start: Start) -> Result {
        let result = self.start_and_fit(start);

        if trace::start_is_on() {
            trace::start(self, start, result);
        }
        result.map(|_pushed| ())
    }

    /// Does what [`Self::start`] does; returns whether the alarm fitted already.
    #[inline]
    fn start_and_fit(&self, start: Start) -> Result<bool> {
        if !self.callback.is_set() {
            return self.start_without_callback();
        }
        if must_defer() {
            return self.start_and_post(start);
        }
        let wish = start.wish(self.clock(), ClockId::now);

        self.word.want(wish)?;
        if !self.callback.is_set() && !self.keeps(wish) {
            self.fit(By::Other);
            return Err(EINVAL);
        }
        Ok(self.fit(By::Start))
    }

    #[cold]
    fn start_without_callback(&self) -> Result<bool> {
        match self.find() {
            Ok(None) => Ok(false),
            _ => Err(EINVAL),
        }
    }

    fn start_and_post(&self, start: Start) -> Result<bool> {
        // A program reads the same clock there, so that it does not find the timer early.
        let wish = start.wish(self.clock(), ClockId::now_fast);

        self.word.want(wish)?;
        if !self.callback.is_set() && !self.keeps(wish) {
            self.fit_or_post(By::Other);
            return Err(EINVAL);
        }
        Ok(self.fit_or_post(By::Start))
    }

    /// Takes a start back whose callback a cancellation has dropped meanwhile. Returns false if it
    /// did; the start has failed then.
    #[cold]
    fn keeps(&self, wish: Wish) -> bool {
        loop {
            // If somebody else has taken the time, that came after the start.
            if !self.word.take_back(wish.time) {
                return true;
            }
            if !self.callback.is_set() {
                return false;
            }
            // A callback was set since, and the time may be that of another start.
            if self.word.want(wish).is_err() || self.callback.is_set() {
                return true;
            }
        }
    }

    /// Drops the callback, for a cancellation that has taken the time. Takes the time again, and
    /// returns what the word was before that.
    ///
    /// A start that found the callback before it was dropped may change the word after the time was
    /// taken. Either this sees the start, or the start sees that there is no callback any more. An
    /// expiry may have begun to call for such a start. The time has to be taken before the callback
    /// is dropped: else the expiry could take the time, and find no callback.
    #[inline]
    fn drop_callback(&self) -> Word {
        self.callback.clear();
        // Pairs with the exchange in `WantedWord::want()`, after which the start looks for the
        // callback again, and with that in `WantedWord::begin_run()`.
        self.word.take()
    }

    /// Cancels the timer and drops its callback; returns whether it was armed. Callable in any
    /// context.
    ///
    /// No callback begins for a start that came before. If the callback runs, waits for it to
    /// return. Where [`must_defer`] says so it does not wait, and fails with [`EBUSY`]; all else is
    /// done then.
    ///
    /// [`EDEADLK`] where it would wait for itself, or for another callback that waits for the one
    /// that calls this (R4). Nothing is done then, unless the callback began during the call.
    #[inline]
    pub(crate) fn cancel(&self) -> Result<bool> {
        if trace::cancel_is_on() {
            return self.cancel_traced();
        }
        self.cancel_and_fit()
    }

    #[cold]
    fn cancel_traced(&self) -> Result<bool> {
        trace::cancel(self, false, || self.cancel_and_fit(), |&armed| armed.into())
    }

    // Always, for the sake of `cancel()`: for two callers the compiler would make it a call.
    #[inline(always)]
    fn cancel_and_fit(&self) -> Result<bool> {
        if must_defer() {
            return self.cancel_and_post();
        }
        let old = self.word.take_unless_running();

        if old.is_running() {
            return self.cancel_and_wait(false);
        }
        let since = self.drop_callback();
        let armed = old.wanted().or(since.wanted()).is_some();

        if since.is_running() {
            return self.cancel_and_wait(armed);
        }
        self.fit(By::Other);
        Ok(armed)
    }

    #[inline(never)]
    fn cancel_and_wait(&self, mut armed: bool) -> Result<bool> {
        CancelWait::scope(self.alarm_ids(), |_| {
            // The callback may start the timer until it has returned.
            loop {
                let old = self.word.take();
                let since = self.drop_callback();

                armed |= old.wanted().or(since.wanted()).is_some();
                self.fit(By::Other);
                if !since.is_running() {
                    return armed;
                }
                while self.word.load().is_running() {
                    cpu_relax();
                }
            }
        })
    }

    fn cancel_and_post(&self) -> Result<bool> {
        // Whether the callback was interrupted does not change while this interrupts it.
        if self.word.load().is_running() && self.expires_here() {
            return Err(EDEADLK);
        }
        let old = self.word.take();
        let since = self.drop_callback();

        self.fit_or_post(By::Other);
        if old.is_running() || since.is_running() {
            return Err(EBUSY);
        }
        Ok(old.wanted().or(since.wanted()).is_some())
    }

    /// Cancels the timer without waiting, and keeps its callback. Callable in any context.
    ///
    /// If the callback runs, does nothing else than to say so.
    ///
    /// [`ECANCELED`] where [`must_defer`] says so, [`ENOENT`] if the timer is dead, [`EINVAL`] if
    /// it is being made.
    #[inline]
    pub(crate) fn try_cancel(&self) -> Result<TryCancel> {
        if trace::cancel_is_on() {
            return self.try_cancel_traced();
        }
        self.try_cancel_and_fit()
    }

    #[cold]
    fn try_cancel_traced(&self) -> Result<TryCancel> {
        trace::cancel(
            self,
            true,
            || self.try_cancel_and_fit(),
            |&outcome| outcome as c_int,
        )
    }

    #[inline]
    fn try_cancel_and_fit(&self) -> Result<TryCancel> {
        let old = self.word.take_unless_running();

        if !old.is_alive() {
            return self.try_cancel_not_alive();
        }
        if must_defer() {
            self.fit_or_post(By::Other);
            return Err(ECANCELED);
        }
        if old.is_running() {
            return Ok(TryCancel::Running);
        }
        self.fit(By::Other);
        match old.wanted() {
            Some(_) => Ok(TryCancel::Cancelled),
            None => Ok(TryCancel::Inactive),
        }
    }

    /// Cancels a timer that is not born, and so was never armed, or fails.
    #[cold]
    fn try_cancel_not_alive(&self) -> Result<TryCancel> {
        self.find()?;
        if must_defer() {
            return Err(ECANCELED);
        }
        Ok(TryCancel::Inactive)
    }
}
