// SPDX-License-Identifier: GPL-2.0-only

//! The word of a timer, which says what is wanted.
//!
//! The word is the truth about a timer; its hrtimers are [alarms](crate::alarm) that are made to
//! fit it. Each operation is one exchange of the word. The operation happens at that moment, and
//! the exchange decides between two operations. It needs no lock, so it may be made in any context.
//!
//! ```text
//!   63     62                      4   3      2        1         0
//!  +-----------+--------------------+------+--------+---------+--------+
//!  | NOT_ALIVE | time, or NONE      | WALL | PINNED | RUNNING | QUEUED |
//!  +-----------+--------------------+------+--------+---------+--------+
//! ```
//!
//! - The *time* is when the timer is to expire, in nanoseconds of its clock, rounded up to a
//!   multiple of 16. It is NONE, that is zero, if the timer is not to expire.
//! - *WALL*: the time is on the real-time clock, which can be set.
//! - *PINNED*: the timer is to expire on the CPU that started it.
//! - *RUNNING*: an expiry has taken the time, and calls the callback if there is one.
//! - *QUEUED*: the timer is on a queue of the [drain](crate::drain), about to be put there, or just
//!   taken off.
//! - *NOT_ALIVE*: the timer is not born yet or, if the time is not zero, dead. It has no time then.

use core::{
    hint,
    num::NonZero, //
};

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Full, //
        },
        Atomic, //
    },
};

/// A time in nanoseconds of a clock.
///
/// # Invariants
///
/// `self.0` is not zero, and has no bits but those of [`Time::MASK`]. So it is a multiple of
/// [`Time::UNIT`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(u64);

impl Time {
    const UNIT: u64 = 16;
    /// All the times that there are.
    const MASK: u64 = i64::MAX as u64 & !(Self::UNIT - 1);

    /// Returns the first time that is not before `nsecs`; for the last 15 nanoseconds that a clock
    /// can tell, the last time.
    #[inline]
    pub(crate) fn not_before(nsecs: NonZero<u64>) -> Self {
        let nsecs = nsecs.get().min(Self::MASK);

        // INVARIANT: `nsecs` is from 1 to `MASK`, so the sum is at least `UNIT` and below bit 63.
        Self((nsecs + Self::UNIT - 1) & Self::MASK)
    }

    /// Returns the first time that is not before `nsecs`, which is not zero.
    #[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
    pub(crate) fn at(nsecs: u64) -> Self {
        Self::not_before(NonZero::new(nsecs).unwrap_or(NonZero::<u64>::MIN))
    }

    #[inline]
    pub(crate) fn nsecs(self) -> i64 {
        self.0 as i64
    }
}

/// When and where a timer is to expire, as a [`Word`] says it.
///
/// # Invariants
///
/// `self.0` is a [`Time`], with or without [`Word::WALL`] and [`Word::PINNED`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish(u64);

impl Wish {
    /// A wish for `time`, which is on the real-time clock if `wall` says so.
    #[inline]
    pub(crate) fn new(time: Time, wall: bool, pinned: bool) -> Self {
        let wall = u64::from(wall) * Word::WALL;
        let pinned = u64::from(pinned) * Word::PINNED;

        // INVARIANT: The flags are no part of the time.
        Self(time.0 | wall | pinned)
    }
}

/// The content of a [`WantedWord`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    const QUEUED: u64 = 1;
    const RUNNING: u64 = 2;
    const PINNED: u64 = 4;
    const WALL: u64 = 8;
    const NOT_ALIVE: u64 = 1 << 63;
    /// The bits that say when and where to expire.
    const WISH: u64 = Time::MASK | Self::WALL | Self::PINNED;

    const UNBORN: Self = Self(Self::NOT_ALIVE);
    const STOPPED: Self = Self(0);
    const DEAD: Self = Self(Self::NOT_ALIVE | Time::UNIT);

    #[inline]
    fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    /// Returns whether the timer is born and not dead.
    #[inline]
    pub(crate) fn is_alive(self) -> bool {
        !self.has(Self::NOT_ALIVE)
    }

    /// Returns whether the timer was killed, or abandoned by its maker.
    pub(crate) fn is_dead(self) -> bool {
        self.has(Self::NOT_ALIVE) && self.has(Time::MASK)
    }

    /// Returns whether the timer is neither born nor dead.
    pub(crate) fn is_unborn(self) -> bool {
        self == Self::UNBORN
    }

    /// Returns when the timer is to expire, if so.
    #[inline]
    pub(crate) fn wanted(self) -> Option<Time> {
        // Below zero it is not alive, and what is less than a unit has no time.
        // INVARIANT: So there is a time, which is not zero.
        (self.0 as i64 >= Time::UNIT as i64).then(|| Time(self.0 & Time::MASK))
    }

    /// Returns whether the timer is to expire at `now` or before, on the clock that the time is on.
    #[inline]
    pub(crate) fn is_due_by(self, now: i64) -> bool {
        // The bits that are no time make it less than a unit later, and times are multiples of one.
        self.wanted().is_some() && self.0 as i64 <= now | (Time::UNIT as i64 - 1)
    }

    /// Returns whether the time is on the real-time clock.
    #[inline]
    pub(crate) fn is_wall(self) -> bool {
        self.has(Self::WALL)
    }

    #[inline]
    pub(crate) fn is_pinned(self) -> bool {
        self.has(Self::PINNED)
    }

    #[inline]
    pub(crate) fn is_running(self) -> bool {
        self.has(Self::RUNNING)
    }

    #[inline]
    pub(crate) fn is_queued(self) -> bool {
        self.has(Self::QUEUED)
    }

    #[inline]
    fn wanting(self, wish: Wish) -> Self {
        Self(self.0 & !Self::WISH | wish.0)
    }

    #[inline]
    pub(crate) fn wanting_nothing(self) -> Self {
        Self(self.0 & !Self::WISH)
    }

    /// Returns what keeps an operation from being done: [`ENOENT`] if the timer is dead, [`EINVAL`]
    /// if it is not born.
    #[cold]
    fn not_alive(self) -> Error {
        if self.is_unborn() {
            EINVAL
        } else {
            ENOENT
        }
    }

    /// Checks that the timer is alive; the errors are those of [`Self::not_alive`].
    #[inline]
    pub(crate) fn check_alive(self) -> Result {
        if !self.is_alive() {
            return Err(self.not_alive());
        }
        Ok(())
    }
}

/// The run of a callback, which [`WantedWord::begin_run`] begins and [`WantedWord::end_run`] ends.
#[must_use = "who waits for the callback waits until the run ends"]
pub(crate) struct Running(());

/// The word of a timer. All methods may be called in any context.
///
/// # Ordering
///
/// Each exchange is Full. It comes before the look at the alarms that follows it, and pairs with
/// the barrier between the act and the look of whoever changes the alarms; see
/// [`alarm`](crate::alarm). Each load is Acquire: who finds what an exchange wrote also finds what
/// came before that exchange.
///
/// # Invariants
///
/// - A word that is dead stays dead.
/// - `QUEUED` is set by who then puts the timer on a queue of the drain, and cleared by the drain,
///   which has taken it off. It is not set in a word that is dead, but it stays there.
/// - `RUNNING` is set by an expiry, and cleared by the same.
pub(crate) struct WantedWord(Atomic<u64>);

impl WantedWord {
    /// Returns the word of a timer on which no operation is possible before [`Self::birth`].
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(Word::UNBORN.0))
    }

    #[inline]
    pub(crate) fn load(&self) -> Word {
        // Acquire: pairs with all exchanges of the word. In `run()`, the load of the callback comes
        // after this one (H13). A cancellation that finds neither a time nor `RUNNING` finds what
        // the callback did.
        Word(self.0.load(Acquire))
    }

    /// Replaces `old` by `new`; returns false if the word is not `old`.
    #[inline]
    fn exchange(&self, old: Word, new: Word) -> bool {
        // Full: each caller says what it pairs with.
        self.0.cmpxchg(old.0, new.0, Full).is_ok()
    }

    /// Changes the word to what `change` makes of it; returns what it was before. If `change` says
    /// `None` to what the word is, returns that as an error, without a change.
    #[inline]
    fn change(&self, change: impl Fn(Word) -> Option<Word>) -> Result<Word, Word> {
        loop {
            // A failed exchange orders nothing, so load again.
            let old = self.load();
            let new = change(old).ok_or(old)?;

            // Full: each caller says what it pairs with.
            if self.exchange(old, new) {
                return Ok(old);
            }
        }
    }

    /// Makes operations possible, unless they are, or the timer was killed.
    pub(crate) fn birth(&self) {
        // Full: pairs with the load. An operation that finds the timer alive comes after the looks
        // of `admit()`.
        self.exchange(Word::UNBORN, Word::STOPPED);
    }

    /// Kills a timer that is not born, for its maker; returns whether it was not. [`Self::kill`] is
    /// still to be called when the timer is taken out of its slot.
    pub(crate) fn abandon(&self) -> bool {
        // Full: pairs with the load, as in `kill()`.
        self.exchange(Word::UNBORN, Word::DEAD)
    }

    /// Makes the timer dead; returns what the word was before. If that is queued, it still is.
    /// Called once, after the timer was taken out of its slot.
    pub(crate) fn kill(&self) -> Word {
        let kill = |old: Word| {
            let kept = old.0 & (Word::QUEUED | Word::RUNNING);

            Some(Word(Word::DEAD.0 | kept))
        };

        // Full: pairs with the load, with the barriers after an act, and with the Acquire in
        // `Links::map()`, since RCU's head is written later.
        self.change(kill).unwrap_or_else(|seen| seen)
    }

    /// Has the timer expire at another time than before; returns the word that says so.
    ///
    /// [`ENOENT`] if the timer is dead, [`EINVAL`] if it is not born.
    #[inline]
    pub(crate) fn want(&self, wish: Wish) -> Result<Word> {
        // Full: pairs with the barriers after an act, in `make_fit()`, `look_again()` and
        // `expire_ordered()`. Either the load that follows there finds this word, or the look that
        // follows here finds what the act has done. Also pairs with the exchange in `begin_run()`.
        match self.change(|old| old.is_alive().then_some(old.wanting(wish))) {
            Ok(old) => {
                let said = old.wanting(wish);

                // SAFETY: The word was alive. By the invariants of `Wish`, it has a time now.
                unsafe { hint::assert_unchecked(said.wanted().is_some()) };
                Ok(said)
            }
            Err(seen) => Err(seen.not_alive()),
        }
    }

    /// Takes the time, so that the timer does not expire; returns what the word was before.
    #[inline]
    pub(crate) fn take(&self) -> Word {
        // Full: pairs with the same as the exchange in `want()`.
        self.change(|old| old.wanted().and(Some(old.wanting_nothing())))
            .unwrap_or_else(|seen| seen)
    }

    /// Takes the time of `wish`, unless something else is wanted; returns whether it did.
    #[cold]
    pub(crate) fn take_if(&self, wish: Wish) -> bool {
        let take = |old: Word| {
            let same = old.is_alive() && old == old.wanting(wish);

            same.then_some(old.wanting_nothing())
        };

        // Full: pairs with the same as the exchange in `want()`.
        self.change(take).is_ok()
    }

    /// Does what [`Self::take`] does, but leaves the time alone if the callback runs.
    #[inline]
    pub(crate) fn take_unless_running(&self) -> Word {
        let take = |old: Word| {
            let time = old.wanted().filter(|_| !old.is_running());

            time.and(Some(old.wanting_nothing()))
        };

        // Full: pairs with the same as the exchange in `want()`.
        self.change(take).unwrap_or_else(|seen| seen)
    }

    /// Takes the time to call the callback for it; returns `None` if the word is not `seen` any
    /// more. `seen` must not say that the callback runs.
    #[inline]
    pub(crate) fn begin_run(&self, seen: Word) -> Option<Running> {
        let running = Word(seen.wanting_nothing().0 | Word::RUNNING);

        // Full: pairs with the other exchanges. If it succeeds, a later change of the word finds
        // the alarm off its queue, and the callback comes after it. It also shows that the map
        // which `Links::map()` has loaded before was that of a live timer.
        self.exchange(seen, running).then_some(Running(()))
    }

    /// Says that the callback has returned; returns what the word is then.
    #[inline]
    pub(crate) fn end_run(&self, _: Running) -> Word {
        // Full: pairs with the load of whoever waits, which finds what the callback did, and with
        // the barrier in `expire_ordered()` for the other alarm of a timer on the real-time clock.
        // Nobody else clears `RUNNING`, so this does not borrow from other bits.
        let old = self.0.fetch_sub(Word::RUNNING, Full);

        Word(old.wrapping_sub(Word::RUNNING))
    }

    /// Says that the timer is queued; returns whether the caller has to put it on a queue. If the
    /// timer is dead, it stays as it is.
    pub(crate) fn set_queued(&self) -> bool {
        let queue =
            |old: Word| (old.is_alive() && !old.is_queued()).then_some(Word(old.0 | Word::QUEUED));

        // Full: pairs with the exchange in `clear_queued()`.
        self.change(queue).is_ok()
    }

    /// Says that the timer is off the queues; returns what the word is then. For the drain alone.
    pub(crate) fn clear_queued(&self) -> Word {
        let cleared = |word: Word| Word(word.0 & !Word::QUEUED);

        // Full: pairs with the other exchanges. An operation that finds `QUEUED` cleared finds the
        // node off the queue, and the drain finds what was wanted before. If the timer is dead,
        // also pairs with the Acquire in `Links::map()`.
        self.change(|old| Some(cleared(old)))
            .map_or_else(cleared, cleared)
    }
}

// R1: `dead_stays_dead`. R3: `unborn_timer_takes_no_operation_until_it_is_born`.
// R6: `who_kills_a_queued_timer_leaves_it_to_the_drain`. Look, act, look again: the others.
#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
#[kunit_tests(bpf_timer_word)]
mod tests {
    use super::*;

    fn born() -> WantedWord {
        let word = WantedWord::new();

        word.birth();
        word
    }

    fn at(nsecs: u64) -> Wish {
        Wish::new(Time::at(nsecs), false, false)
    }

    #[test]
    fn times_are_rounded_up_but_not_beyond_the_last() {
        let max = i64::MAX as u64;

        for (nsecs, time) in [
            (1, 16),
            (16, 16),
            (17, 32),
            (max - 16, max - 15),
            (max - 15, max - 15),
            (max, max - 15),
            (u64::MAX, max - 15),
        ] {
            assert_eq!(Time::at(nsecs).nsecs() as u64, time);
        }
    }

    #[test]
    fn word_tells_the_wish() -> Result {
        for time in [1, 1 << 40, u64::MAX].map(Time::at) {
            for wall in [false, true] {
                for pinned in [false, true] {
                    let word = born();
                    let said = word.want(Wish::new(time, wall, pinned))?;

                    assert_eq!(said, word.load());
                    assert_eq!(said.wanted(), Some(time));
                    assert_eq!((said.is_wall(), said.is_pinned()), (wall, pinned));
                    assert!(said.is_alive() && !said.is_running() && !said.is_queued());
                    assert_eq!(word.take(), said);
                    assert_eq!(word.load(), Word::STOPPED);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn last_wish_wins_and_is_taken_once() -> Result {
        let word = born();

        word.want(Wish::new(Time::at(16), false, true))?;
        let last = word.want(at(32))?;
        assert_eq!(last.wanted(), Some(Time::at(32)));
        assert!(!last.is_pinned());
        assert_eq!(word.take(), last);
        assert_eq!(word.take().wanted(), None);
        Ok(())
    }

    #[test]
    fn who_runs_the_callback_takes_the_time() -> Result {
        let word = born();
        let old = word.want(at(16))?;
        let seen = word.want(at(32))?;

        assert!(word.begin_run(old).is_none());
        let running = word.begin_run(seen).ok_or(ENOENT)?;
        assert_eq!(word.load().wanted(), None);
        // A time that is wanted while the callback runs stays.
        let next = word.want(at(64))?;
        assert!(next.is_running());
        assert_eq!(word.take_unless_running(), next);
        assert_eq!(word.load(), next);
        assert_eq!(word.end_run(running), word.load());
        assert!(!word.load().is_running());
        assert_eq!(word.take_unless_running().wanted(), next.wanted());
        assert_eq!(word.load(), Word::STOPPED);
        Ok(())
    }

    #[test]
    fn timer_is_queued_once() -> Result {
        let word = born();

        word.want(at(16))?;
        assert!(word.set_queued());
        assert!(!word.set_queued());
        assert_eq!(word.take().wanted(), Some(Time::at(16)));
        assert!(word.load().is_queued());
        assert_eq!(word.clear_queued(), Word::STOPPED);
        assert!(word.set_queued());
        Ok(())
    }

    #[test]
    fn dead_stays_dead() -> Result {
        let word = born();

        word.want(at(16))?;
        assert!(!word.kill().is_queued());
        word.birth();
        assert!(word.load().is_dead());
        assert_eq!(word.load().wanted(), None);
        assert_eq!(word.want(at(16)).err(), Some(ENOENT));
        assert_eq!(word.take().wanted(), None);
        assert!(!word.set_queued());
        assert_eq!(word.load(), Word::DEAD);
        Ok(())
    }

    #[test]
    fn time_is_due_from_when_it_has_come() -> Result {
        let word = born();

        assert!(!word.load().is_due_by(i64::MAX));
        for (wall, pinned) in [(false, false), (true, true)] {
            let said = word.want(Wish::new(Time::at(32), wall, pinned))?;

            assert!(!said.is_due_by(0));
            assert!(!said.is_due_by(31));
            assert!(said.is_due_by(32));
            assert!(said.is_due_by(i64::MAX));
        }
        assert!(!word.kill().is_queued());
        assert!(!word.load().is_due_by(i64::MAX));
        Ok(())
    }

    #[test]
    fn who_kills_a_queued_timer_leaves_it_to_the_drain() {
        let word = born();

        assert!(word.set_queued());
        assert!(word.kill().is_queued());
        assert!(word.load().is_dead());
        assert!(word.clear_queued().is_dead());
    }

    #[test]
    fn unborn_timer_takes_no_operation_until_it_is_born() {
        let word = WantedWord::new();

        assert!(word.load().is_unborn());
        assert_eq!(word.load().check_alive(), Err(EINVAL));
        assert_eq!(word.want(at(16)).err(), Some(EINVAL));
        assert_eq!(word.take().wanted(), None);
        assert!(word.abandon());
        assert!(!word.abandon());
        assert_eq!(word.load().check_alive(), Err(ENOENT));
        word.birth();
        assert!(word.load().is_dead());
    }
}
