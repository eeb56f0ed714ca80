// SPDX-License-Identifier: GPL-2.0-only

//! The alarms of a timer: its hrtimer, or two on the real-time clock.
//!
//! The [word](crate::word) says what is wanted, and the alarm is made to fit it. It *fits* if it is
//! queued for the wanted time or earlier; if no time is wanted, it fits if it is not queued. While
//! a time is wanted and no operation is under way, the alarm fits. An alarm that is too early is
//! harmless: its expiry looks at the word, finds that the time has not come, and makes the alarm
//! fit. So is one that could not be taken out since its expiry ran.
//!
//! # Look, act, look again
//!
//! Whoever has changed the word makes the alarm fit, by [`Timer::fit`], or leaves that to the
//! [drain](crate::drain), by [`Timer::fit_or_post`]. Nothing else touches an hrtimer of a timer
//! that is alive.
//!
//! - A *look* loads the word, and then whether the alarm is queued, and for when.
//! - An *act* arms the alarm for the wanted time, or takes it out if there is none.
//! - A full barrier follows each act, and a look follows that.
//!
//! Let two change the word and make the alarm fit at the same time. The look of the one that acts
//! last sees what the other wrote to the word; or the other's exchange comes after that look, and
//! then the other's look sees the act. Either way, somebody acts on the last word.
//!
//! From the act to the look, interrupts are off. Otherwise a task that armed the alarm for an
//! outdated time could be preempted before its look, and the newer start would be late.
//!
//! # Pushing back
//!
//! A timer that is armed and started for a later time fits already. So that start takes no lock,
//! and leaves alone the timer's base and the clock's hardware.

mod wall;

use crate::{
    drain,
    timer::Timer,
    word::{
        Time,
        Word, //
    },
};

use kernel::{
    interrupt,
    sync::barrier::{
        smp_mb,
        Full, //
    },
    time::hrtimer::dynamic::{
        ClockId,
        DynHrTimer,
        DynHrTimerCallback,
        StartMode,
        TimerId,
        TryCancel, //
    },
};

pub(crate) use wall::WallTimer;

/// Who makes an alarm fit.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// The start that has changed the word.
    Start,
    /// The drain, for a start among others.
    Drain,
    /// A cancellation or an expiry.
    Other,
}

impl By {
    /// How often to act. Other CPUs can make it necessary to act again and again. The drain goes on
    /// in its next run, so that they cannot keep a CPU (R7).
    fn most(self) -> u32 {
        match self {
            By::Drain => 1,
            By::Start | By::Other => 2,
        }
    }

    /// Whether to act once even if the alarm fits.
    ///
    /// A pinned start moves the timer to the CPU that starts it, so only who does the work of that
    /// start heeds the flag. Who traces starts of hrtimers wants to see those of programs.
    #[inline]
    fn must_act(self, word: Word) -> bool {
        let must = match self {
            By::Start | By::Drain => word.is_pinned() || DynHrTimer::<Timer>::start_is_traced(),
            By::Other => false,
        };

        must && word.wanted().is_some()
    }
}

/// Returns whether an alarm is queued for `time` or earlier.
#[inline]
fn is_in_time<T: DynHrTimerCallback>(alarm: &DynHrTimer<T>, time: Time) -> bool {
    alarm.is_queued() && alarm.expires() <= time.nsecs()
}

impl Timer {
    /// Returns what else there is if the timer is on the real-time clock.
    #[inline]
    fn wall(&self) -> Option<&WallTimer> {
        if self.clock() != ClockId::RealTime {
            return None;
        }
        // CAST: The timer is the first field of a `WallTimer`, by the type invariants.
        // SAFETY: Which is valid as long as its first field, and by the type invariants what a
        // reference to that may lead to.
        Some(unsafe { &*core::ptr::from_ref(self).cast::<WallTimer>() })
    }

    /// Returns the clock that the time in a word is on.
    #[inline]
    pub(crate) fn clock_of(&self, word: Word) -> ClockId {
        match self.clock() {
            ClockId::RealTime if !word.is_wall() => ClockId::Monotonic,
            clock => clock,
        }
    }

    /// Returns whether an alarm is queued.
    #[inline]
    pub(crate) fn is_any_queued(&self) -> bool {
        self.hrtimer.is_queued() || self.wall().is_some_and(|wall| wall.wall.is_queued())
    }

    /// Returns whether the alarms fit a word that was loaded before.
    #[inline]
    fn fits(&self, word: Word) -> bool {
        match (word.wanted(), self.wall()) {
            (None, _) => !self.is_any_queued(),
            (Some(time), Some(wall)) if word.is_wall() => is_in_time(&wall.wall, time),
            (Some(time), _) => is_in_time(&self.hrtimer, time),
        }
    }

    /// Returns whether the alarms fit the word, and `by` need not act nevertheless.
    #[inline]
    fn look(&self, by: By) -> bool {
        let word = self.word.load();

        self.fits(word) && !by.must_act(word)
    }

    /// Takes the alarms out; returns false if one is left, since its expiry runs.
    ///
    /// Not for code that may have interrupted the hrtimer core.
    pub(crate) fn take_out(&self) -> bool {
        let own = self.hrtimer.try_to_cancel();
        let wall = self
            .wall()
            .map_or(TryCancel::Inactive, |wall| wall.wall.try_to_cancel());

        own != TryCancel::Running && wall != TryCancel::Running
    }

    /// Makes the alarms fit the word; not where [`must_defer`](crate::timer::must_defer) says so,
    /// but in the drain. Returns whether they did already.
    #[inline]
    pub(crate) fn fit(&self, by: By) -> bool {
        let fits = self.look(by);

        if !fits {
            self.make_fit(by);
        }
        fits
    }

    #[inline(never)]
    fn make_fit(&self, by: By) {
        let _irqs_off = interrupt::local_interrupt_disable();

        for _ in 0..by.most() {
            let word = self.word.load();
            let done = self.act(word, by);

            // The look comes after the act. Pairs with the exchanges of the word.
            smp_mb(Full);
            let now = self.word.load();

            // What could not be taken out is harmless: its expiry looks at the word, or has.
            if now == word || self.fits(now) || (!done && now.wanted().is_none()) {
                return;
            }
        }
        drain::post(self);
    }

    /// Arms the alarm that a word wants, or takes out all; returns false if one is left.
    #[inline]
    fn act(&self, word: Word, by: By) -> bool {
        let Some(time) = word.wanted() else {
            return self.take_out();
        };
        let mode = StartMode::new(true, by != By::Other && word.is_pinned());

        match self.wall() {
            Some(wall) if word.is_wall() => DynHrTimer::start(wall, time.nsecs(), mode),
            _ => DynHrTimer::start(self, time.nsecs(), mode),
        }
        true
    }

    /// Leaves it to the drain to make the alarms fit the word, unless they do; for code that may
    /// have interrupted anything. Returns whether they do.
    pub(crate) fn fit_or_post(&self, by: By) -> bool {
        let fits = self.look(by);

        if !fits {
            drain::post(self);
        }
        fits
    }

    /// Makes the alarms fit what another expiry may have left to the one that ran the callback.
    #[inline]
    pub(crate) fn fit_after_run(&self, word: Word) {
        // One alarm expires on one CPU at a time.
        if self.wall().is_some() && word.wanted().is_some() {
            self.fit(By::Other);
        }
    }

    /// Returns whether this CPU is in the expiry of one of the alarms.
    pub(crate) fn expires_here(&self) -> bool {
        self.hrtimer.expires_here() || self.wall().is_some_and(|wall| wall.wall.expires_here())
    }

    /// Returns the identities of the alarms: of the only one twice.
    pub(crate) fn alarm_ids(&self) -> [TimerId; 2] {
        let own = self.hrtimer.id();

        [own, self.wall().map_or(own, |wall| wall.wall.id())]
    }

    /// Returns whether the timer is in a [`WallTimer`].
    pub(crate) fn is_in_wall(&self) -> bool {
        self.wall().is_some()
    }
}
