// SPDX-License-Identifier: GPL-2.0-only

//! The timer itself, and what programs do with it.

use crate::{
    callback::CallbackCell,
    command::{
        CommandWord,
        Op,
        Standing,
        Start, //
    },
    defer,
    links::Links,
    trace,
    wall::WallTimer, //
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
/// queue of the [drain](crate::defer); or by its expiry. After its death it is freed by a
/// [`Corpse`](crate::reap::Corpse).
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
/// - If the clock in `home` is the real-time one, the timer is the first field of a [`WallTimer`].
///   As with `container_of!`, a reference to the timer is a way to all of that.
#[pin_data]
#[repr(C)]
pub(crate) struct Timer {
    /// First, so that the address is the same in the tracepoints of hrtimers and of ours, but for
    /// absolute starts of wall-clock timers.
    #[pin]
    pub(crate) hrtimer: DynHrTimer<Timer>,
    pub(crate) callback: CallbackCell,
    pub(crate) command: CommandWord,
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
    impl HasDynHrTimer for Timer { self.hrtimer }
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
/// bookkeeping, so that operations must be left to the drain.
#[inline]
pub(crate) fn must_defer() -> bool {
    interrupt::in_hardirq() || interrupt::irqs_disabled()
}

impl Timer {
    /// Returns an initializer for a timer that is stopped and has no callback; not for the
    /// real-time clock.
    ///
    /// # Safety
    ///
    /// `value` must be the value of an element of `map`, with the slot that the timer is for.
    pub(crate) unsafe fn new(
        map: &Map,
        value: *mut c_void,
        clock: ClockId,
    ) -> impl PinInit<Self, Error> + '_ {
        // INVARIANT: By the safety requirement; the timer dies with the element.
        Self::init(map, value, clock)
    }

    /// Returns an initializer for the timer in a [`WallTimer`], as [`Self::new`] does.
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
            hrtimer <- DynHrTimer::new(clock, StartMode::RELATIVE),
            callback: CallbackCell::new(),
            command: CommandWord::new(),
            links: Links::new(map),
            home: Home::new(value, clock),
        }? Error)
    }

    /// Returns the map that the timer belongs to; [`ENOENT`] if the timer is dead, [`EINVAL`] if it
    /// is being made.
    #[inline]
    pub(crate) fn map(&self) -> Result<&Map> {
        let map = self.links.map();

        self.command.check_alive()?;
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
        self.command.birth();
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

        self.command.check_not_dead()?;
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

    /// Returns what the timer is in, if that is a timer on the real-time clock.
    #[inline]
    pub(crate) fn wall(&self) -> Option<&WallTimer> {
        if self.home.clock() != ClockId::RealTime {
            return None;
        }
        // CAST: The timer is the first field of a `WallTimer`, by the type invariants.
        // SAFETY: Which is valid as long as its first field, and by the type invariants what a
        // reference to that may lead to.
        Some(unsafe { &*core::ptr::from_ref(self).cast::<WallTimer>() })
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

    /// Arms the timer, or moves it.
    ///
    /// [`EINVAL`] if it has no callback, [`ENOENT`] if it is dead.
    #[inline]
    pub(crate) fn start(&self, start: Start) -> Result {
        if trace::start_is_on() {
            return self.start_traced(start);
        }
        self.start_or_defer(start)
    }

    #[cold]
    fn start_traced(&self, start: Start) -> Result {
        let result = self.start_or_defer(start);

        trace::start(self, start, &result);
        result
    }

    #[inline]
    fn start_or_defer(&self, start: Start) -> Result {
        if !self.callback.is_set() {
            return self.start_without_callback();
        }
        if must_defer() {
            return self.leave_start(start);
        }
        if !self.command.is_idle() {
            return self.start_instead(start);
        }
        self.start_now(start);
        Ok(())
    }

    #[cold]
    fn start_without_callback(&self) -> Result {
        match self.find() {
            Ok(None) => Ok(()),
            _ => Err(EINVAL),
        }
    }

    #[cold]
    fn leave_start(&self, start: Start) -> Result {
        defer::post(self, Op::Start(start))
    }

    #[cold]
    fn start_instead(&self, start: Start) -> Result {
        self.supersede()?;
        self.start_now(start);
        Ok(())
    }

    /// Arms the timer; not where [`must_defer`] says so, but in the drain.
    #[inline]
    pub(crate) fn start_now(&self, start: Start) {
        if start.flags() == 0 {
            self.arm(start);
        } else {
            self.arm_by_flags(start);
        }

        // R1: If the timer died in between, whoever killed it may have cancelled before we armed.
        // What this load misses, the corpse cancels after the grace period, and until then the
        // expiry finds the timer dead. So no barrier is needed, which would cost every start.
        if !self.command.is_alive() {
            self.disarm();
        }
    }

    #[cold]
    fn arm_by_flags(&self, start: Start) {
        if !start.is_absolute() {
            return self.arm(start);
        }
        // The softirq takes the time once and expires all that is due by then. A callback that arms
        // a timer for before that, as it may, would be called again by the same softirq, which
        // would never come to an end (H10); the same if another CPU goes on arming it. For what is
        // due already, now is as good.
        if start.is_due(self.home.clock().now()) {
            return self.arm(start.at_once());
        }
        self.arm(start.or_never());
    }

    #[inline]
    fn arm(&self, start: Start) {
        // SAFETY: The timer stays valid until the grace period after its death, in the readers of
        // which we are, and from then on until its corpse found it cancelled and not running.
        unsafe {
            match self.wall() {
                None => DynHrTimer::start(self, start.nsecs as i64, start.mode()),
                Some(wall) => wall.arm(start),
            }
        }
    }

    /// Cancels the timer without waiting; not where [`must_defer`] says so, but in the drain.
    #[inline]
    pub(crate) fn disarm(&self) -> TryCancel {
        match self.wall() {
            None => self.hrtimer.try_to_cancel(),
            Some(wall) => wall.disarm(),
        }
    }

    /// Cancels the timer, drops its callback, and waits for a callback that runs; not where
    /// [`must_defer`] says so.
    ///
    /// Returns whether it was armed. [`EDEADLK`] where that would wait for itself (R4).
    #[inline]
    pub(crate) fn cancel(&self) -> Result<bool> {
        if trace::cancel_is_on() {
            return self.cancel_traced();
        }
        self.cancel_and_wait()
    }

    #[cold]
    fn cancel_traced(&self) -> Result<bool> {
        trace::cancel(
            self,
            false,
            || self.cancel_and_wait(),
            |&armed| armed.into(),
        )
    }

    // Always, for the sake of `cancel()`: for two callers the compiler would make it a call.
    #[inline(always)]
    fn cancel_and_wait(&self) -> Result<bool> {
        match self.wall() {
            None => CancelWait::scope([self.hrtimer.id()], |wait| {
                self.stop(|| self.hrtimer.cancel_in(wait))
            }),
            Some(wall) => wall.cancel(),
        }
    }

    /// Drops what is pending and the callback, and calls `cancel` for the rest; returns whether the
    /// timer was armed.
    #[inline]
    pub(crate) fn stop(&self, cancel: impl FnOnce() -> bool) -> bool {
        if !self.command.is_idle() {
            return self.stop_instead(cancel);
        }
        self.callback.clear();
        cancel()
    }

    #[cold]
    fn stop_instead(&self, cancel: impl FnOnce() -> bool) -> bool {
        // A dead timer may still be armed, if the drain has not buried it.
        let start_pending = self.supersede().unwrap_or(false);

        self.callback.clear();
        cancel() || start_pending
    }

    /// Cancels the timer without waiting, and keeps its callback.
    ///
    /// [`ECANCELED`] if that is left to the drain, [`ENOENT`] if the timer is dead, [`EINVAL`] if
    /// it is being made.
    #[inline]
    pub(crate) fn try_cancel(&self) -> Result<TryCancel> {
        if trace::cancel_is_on() {
            return self.try_cancel_traced();
        }
        self.disarm_or_defer()
    }

    #[cold]
    fn try_cancel_traced(&self) -> Result<TryCancel> {
        trace::cancel(
            self,
            true,
            || self.disarm_or_defer(),
            |&outcome| outcome as c_int,
        )
    }

    #[inline]
    fn disarm_or_defer(&self) -> Result<TryCancel> {
        if must_defer() {
            return self.leave_cancel();
        }
        if !self.command.is_idle() {
            return self.disarm_instead();
        }
        Ok(self.disarm())
    }

    #[cold]
    fn leave_cancel(&self) -> Result<TryCancel> {
        match defer::post(self, Op::Cancel) {
            Err(EINVAL) => {
                self.find()?;
            }
            result => result?,
        }
        Err(ECANCELED)
    }

    /// Cancels a timer that is not born, and so was never armed.
    #[cold]
    fn cancel_unborn(&self) -> Result<TryCancel> {
        self.find().map(|_| TryCancel::Inactive)
    }

    #[cold]
    fn disarm_instead(&self) -> Result<TryCancel> {
        let start_pending = match self.supersede() {
            Err(EINVAL) => return self.cancel_unborn(),
            result => result?,
        };

        match self.disarm() {
            TryCancel::Inactive if start_pending => Ok(TryCancel::Cancelled),
            outcome => Ok(outcome),
        }
    }

    /// Sees to it that nothing older than what the caller is about to do comes after it; returns
    /// whether a start was pending, with which the timer counts as armed, and [`ENOENT`] if the
    /// timer is dead.
    #[cold]
    fn supersede(&self) -> Result<bool> {
        match self.command.supersede()? {
            Standing::Idle => Ok(false),
            Standing::Queued(op) => {
                defer::wait_for(self);
                Ok(op.is_some_and(Op::is_start))
            }
        }
    }
}
