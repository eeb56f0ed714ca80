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
//! An operation that has changed the word makes the alarm fit, by [`TimerPtr::fit`]. In a context
//! that must not touch an hrtimer, `fit` leaves that to the [drain](crate::drain). Nothing else
//! touches an hrtimer of a timer that is alive.
//!
//! - A *look* sees whether the alarm is queued, and for when. It follows a change of the word.
//! - An *act* arms the alarm for the wanted time, or takes it out if there is none.
//! - A full barrier follows each act, and then a load of the word. If the word has changed, another
//!   look follows.
//!
//! Let two operations change the word and make the alarm fit at the same time. The one that acts
//! last either loads the word that the other wrote, or the other's exchange comes after that load.
//! In the latter case the other's look sees the act. Either way, one of them acts on the last word.
//!
//! From the act to the load, interrupts are off. Otherwise a task that armed the alarm for an
//! outdated time could be preempted before it loads the word, and the newer start would be late.
//!
//! # Pushing back
//!
//! If an armed timer is started for a later time, its alarm fits already. Such a start takes no
//! lock, and leaves alone the timer's base and the clock's hardware.

mod wall;

use crate::{
    drain,
    timer::{
        steady,
        Timer,
        TimerPtr, //
    },
    word::{
        Time,
        Word, //
    },
};

use kernel::{
    interrupt::IrqsOff,
    sync::barrier::{
        smp_mb,
        Full, //
    },
    time::hrtimer::soft::{
        ClockId,
        ItemPtr,
        SoftHrTimer,
        SoftHrTimerCallback,
        StartMode,
        TimerId,
        TryCancel, //
    },
};

pub(crate) use wall::WallTimer;

/// The party that makes the alarms fit.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum For {
    /// The start that has changed the word.
    Start,
    /// The drain, for a start or for something else that was left to it.
    Drain,
    /// A cancellation or an expiry.
    Other,
}

impl For {
    /// Whether to act once even if the alarms fit.
    ///
    /// A pinned start moves the timer to the CPU that starts it, so only the start itself and the
    /// drain heed the flag. While starts of hrtimers are traced, each start of a program is one.
    #[inline]
    fn must_act(self, word: Word) -> bool {
        let must = match self {
            For::Start | For::Drain => word.is_pinned() || SoftHrTimer::<Timer>::start_is_traced(),
            For::Other => false,
        };

        must && word.wanted().is_some()
    }
}

/// Says how the alarms came to fit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// They fitted already.
    Already,
    /// They were made to fit.
    Made,
    /// They are left to the drain.
    Posted,
}

/// Returns whether an alarm is queued for `time` or earlier.
///
/// The two loads are Relaxed. They pair with the stores of an act. The caller's exchange of the
/// word comes before them. A full barrier and a load of the word come after an act.
#[inline]
fn is_in_time<T: SoftHrTimerCallback>(alarm: &SoftHrTimer<T>, time: Time) -> bool {
    alarm.is_queued() && alarm.expires() <= time.nsecs()
}

impl<'a> From<ItemPtr<'a, WallTimer>> for TimerPtr<'a> {
    #[inline]
    fn from(wall: ItemPtr<'a, WallTimer>) -> Self {
        // CAST: The timer is the first field of a `WallTimer`.
        // SAFETY: It is valid as long as that.
        unsafe { Self::new(wall.as_non_null().cast()) }
    }
}

impl<'a> TimerPtr<'a> {
    /// Returns what else there is if the timer is on the real-time clock.
    #[inline]
    pub(crate) fn wall(self) -> Option<ItemPtr<'a, WallTimer>> {
        if self.clock() != ClockId::RealTime {
            return None;
        }
        // CAST: The timer is the first field of a `WallTimer`, by its type invariants.
        // SAFETY: A `WallTimer` is valid as long as its timer.
        Some(unsafe { ItemPtr::new(self.as_non_null().cast()) })
    }

    /// Returns the clock that the time in a word is on.
    #[inline]
    pub(crate) fn clock_of(self, word: Word) -> ClockId {
        match self.clock() {
            clock if word.is_wall() => clock,
            clock => steady(clock),
        }
    }

    /// Returns whether an alarm is queued.
    #[inline]
    pub(crate) fn is_any_queued(self) -> bool {
        self.hrtimer.is_queued() || self.wall().is_some_and(|wall| wall.hrtimer.is_queued())
    }

    /// Returns the CPU of the alarm for the time in `word`; `None` if it is not queued or is being
    /// moved, or if no time is wanted. Any CPU may move it at any time.
    pub(crate) fn alarm_cpu(self, word: Word) -> Option<u32> {
        word.wanted()?;
        if word.is_wall() {
            return self.wall()?.hrtimer.cpu();
        }
        self.hrtimer.cpu()
    }

    /// Returns whether the alarms fit a word that was loaded before.
    #[inline(always)]
    fn fits(self, word: Word) -> bool {
        let Some(time) = word.wanted() else {
            return !self.is_any_queued();
        };

        if word.is_wall() {
            return self
                .wall()
                .is_some_and(|wall| is_in_time(&wall.hrtimer, time));
        }
        is_in_time(&self.hrtimer, time)
    }

    /// Returns whether the alarms fit a word that was loaded before, and need not be touched
    /// nevertheless.
    #[inline(always)]
    fn may_stay(self, word: Word, whom: For) -> bool {
        self.fits(word) && !whom.must_act(word)
    }

    /// Takes the alarms out; returns false if one is left, since its expiry runs.
    ///
    /// The caller must not have interrupted the hrtimer core.
    pub(crate) fn take_out(self, irqs_off: &IrqsOff) -> bool {
        let own = self.hrtimer.try_to_cancel_irqoff(irqs_off);
        let wall = self.wall().map_or(TryCancel::Inactive, |wall| {
            wall.hrtimer.try_to_cancel_irqoff(irqs_off)
        });

        own != TryCancel::Running && wall != TryCancel::Running
    }

    /// Makes the alarms fit the word, which was `word` a moment ago; callable in any context.
    ///
    /// If someone has changed the word since, they make the alarms fit, and find what this does.
    // Inlined, since most callers know what is wanted and for whom.
    #[inline(always)]
    pub(crate) fn fit(self, word: Word, whom: For) -> Fit {
        if self.may_stay(word, whom) {
            return Fit::Already;
        }
        // SAFETY: The guard is dropped in this block, and `make_fit()` leaves none behind.
        if let Some(irqs_off) = unsafe { drain::irqs_off_unless_deferred() } {
            self.make_fit(word, whom, &irqs_off);
            return Fit::Made;
        }
        drain::post(self);
        Fit::Posted
    }

    /// Does what [`Self::fit`] does, where a call makes no difference.
    #[inline(never)]
    pub(crate) fn fit_again(self) -> Fit {
        self.fit(self.word.load(), For::Other)
    }

    /// Does what [`Self::fit`] does, in the drain.
    pub(crate) fn fit_in_drain(self, word: Word, irqs_off: &IrqsOff) {
        if !self.may_stay(word, For::Drain) {
            self.make_fit(word, For::Drain, irqs_off);
        }
    }

    /// Acts on a word, and looks again if the word has changed by then.
    #[inline(always)]
    fn make_fit(self, word: Word, whom: For, irqs_off: &IrqsOff) {
        self.act(word, whom, irqs_off);
        // The look comes after the act. Pairs with the exchanges of the word.
        smp_mb(Full);
        if self.word.load() != word {
            self.look_again(whom, irqs_off);
        }
    }

    /// Makes the alarms fit a word that has changed during an act.
    ///
    /// Other CPUs can change the word again and again. They cannot keep this CPU (R7), since this
    /// acts once at most, and then leaves the timer to the next run of the drain. The drain does
    /// not act here.
    #[cold]
    fn look_again(self, whom: For, irqs_off: &IrqsOff) {
        let word = self.word.load();

        if self.fits(word) {
            return;
        }
        if whom != For::Drain {
            self.act(word, whom, irqs_off);
            // The look comes after the act. Pairs with the exchanges of the word.
            smp_mb(Full);
            if self.fits(self.word.load()) {
                return;
            }
        }
        drain::post(self);
    }

    /// Arms the alarm that a word wants, or takes out all.
    ///
    /// An alarm whose expiry runs may be left. The expiry itself looks at the word, too.
    #[inline(always)]
    fn act(self, word: Word, whom: For, irqs_off: &IrqsOff) {
        let Some(time) = word.wanted() else {
            self.take_out(irqs_off);
            return;
        };
        let mode = StartMode::new(true, whom != For::Other && word.is_pinned());

        if !word.is_wall() {
            SoftHrTimer::start_irqoff(self.as_item(), time.nsecs(), mode, irqs_off);
        } else if let Some(wall) = self.wall() {
            SoftHrTimer::start_irqoff(wall, time.nsecs(), mode, irqs_off);
        }
    }

    /// Makes the alarms fit what another expiry may have left to the one that ran the callback.
    #[inline]
    pub(crate) fn fit_after_run(self, word: Word) {
        // One alarm expires on one CPU at a time.
        if word.wanted().is_some() && self.wall().is_some() {
            self.fit_again();
        }
    }

    /// Returns whether the caller is in the expiry of one of the alarms, or has interrupted it.
    pub(crate) fn expires_here(self) -> bool {
        self.hrtimer.expires_here() || self.wall().is_some_and(|wall| wall.hrtimer.expires_here())
    }

    /// Returns the identities of the alarms. If there is one alarm, both are its identity.
    pub(crate) fn alarm_ids(self) -> [TimerId<'a>; 2] {
        let own = SoftHrTimer::id(self.as_item());

        [own, self.wall().map_or(own, SoftHrTimer::id)]
    }
}
