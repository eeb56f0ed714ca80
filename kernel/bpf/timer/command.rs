// SPDX-License-Identifier: GPL-2.0-only

//! The pending operation of a timer, in one word.
//!
//! Where an operation cannot be done at once, since the interrupted code may be the hrtimer core's,
//! it is left in the timer's [`CommandWord`] for the [drain](crate::defer) to do. A later operation
//! overwrites it, so the last one wins. The word also says whether the timer is dead, and whether
//! it is on a queue, so that one party alone ever queues it or takes care of its death (R6).

use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Full, //
        },
        Atomic, //
    },
    time::hrtimer::dynamic::StartMode,
};

/// When a timer is to expire.
///
/// # Invariants
///
/// `flags` are of those that `bpf_timer_start()` knows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Nanoseconds from now on or, if absolute, on the clock of the timer.
    pub(crate) nsecs: u64,
    flags: u64,
}

impl Start {
    const ABSOLUTE: u64 = bindings::BPF_F_TIMER_ABS as u64;
    const PINNED: u64 = bindings::BPF_F_TIMER_CPU_PIN as u64;

    /// Takes the flags of `bpf_timer_start()`; [`EINVAL`] if one is not known.
    #[inline]
    pub(crate) fn new(nsecs: u64, flags: u64) -> Result<Self> {
        if flags & !(Self::ABSOLUTE | Self::PINNED) != 0 {
            return Err(EINVAL);
        }
        // INVARIANT: Checked above.
        Ok(Self { nsecs, flags })
    }

    /// Returns the flags of `bpf_timer_start()`.
    #[inline]
    pub(crate) fn flags(self) -> u64 {
        self.flags
    }

    #[inline]
    pub(crate) fn is_absolute(self) -> bool {
        self.flags & Self::ABSOLUTE != 0
    }

    #[inline]
    pub(crate) fn is_pinned(self) -> bool {
        self.flags & Self::PINNED != 0
    }

    /// Returns whether an absolute start is for `now` on its clock, or before.
    #[inline]
    pub(crate) fn is_due(self, now: i64) -> bool {
        self.nsecs <= now as u64
    }

    /// Returns a start for the time when it is carried out, in place of an absolute one.
    #[inline]
    pub(crate) fn at_once(self) -> Self {
        // INVARIANT: One flag less.
        Self {
            nsecs: 0,
            flags: self.flags & !Self::ABSOLUTE,
        }
    }

    /// Returns the same, but for a time beyond `KTIME_MAX`, which would be negative, the last.
    #[inline]
    pub(crate) fn or_never(self) -> Self {
        Self {
            nsecs: self.nsecs.min(i64::MAX as u64),
            ..self
        }
    }

    #[inline]
    pub(crate) fn mode(self) -> StartMode {
        StartMode::new(self.is_absolute(), self.is_pinned())
    }
}

/// An operation that can be deferred.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Start(Start),
    Cancel,
}

impl Op {
    /// Returns whether the operation would arm the timer.
    #[inline]
    pub(crate) fn is_start(self) -> bool {
        matches!(self, Op::Start(_))
    }
}

/// What a [`CommandWord`] says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Nothing is pending, and the timer is on no queue.
    Idle,
    /// Nothing is pending, but the timer is on a queue or with the drain.
    Queued,
    /// An operation is pending, and the timer is on a queue or with the drain.
    Pending(Op),
    /// The timer is dead, and that never changes again; or it is not born yet.
    Dead,
}

/// The encoding: three bits of kind below a time in units of 8 ns.
mod word {
    pub(super) const KIND: u64 = 7;
    pub(super) const IDLE: u64 = 0;
    pub(super) const QUEUED: u64 = 1;
    pub(super) const CANCEL: u64 = 2;
    pub(super) const DEAD: u64 = 3;
    /// A kind of dead from which there is a way.
    pub(super) const UNBORN: u64 = DEAD | 1 << 3;
    /// With the flags, which are the two bits below, the four modes of starting.
    pub(super) const START: u64 = 4;
}

static_assert!(Start::ABSOLUTE | Start::PINNED == word::START - 1);

impl Command {
    /// Encodes the command; the time of a start is rounded up by less than 8 ns, so that a timer is
    /// never early, but not to beyond `KTIME_MAX`, which would be in the past.
    fn encode(self) -> u64 {
        match self {
            Command::Idle => word::IDLE,
            Command::Queued => word::QUEUED,
            Command::Pending(Op::Cancel) => word::CANCEL,
            Command::Dead => word::DEAD,
            Command::Pending(Op::Start(start)) => {
                // INVARIANT of `Start`: The flags are those two.
                let kind = word::START | start.flags;
                let last = if start.nsecs <= i64::MAX as u64 {
                    i64::MAX as u64
                } else {
                    u64::MAX
                };
                let rounded = start.nsecs.saturating_add(word::KIND).min(last);
                (rounded & !word::KIND) | kind
            }
        }
    }

    fn decode(raw: u64) -> Self {
        match raw & word::KIND {
            word::IDLE => Command::Idle,
            word::QUEUED => Command::Queued,
            word::CANCEL => Command::Pending(Op::Cancel),
            word::DEAD => Command::Dead,
            // INVARIANT: The mask leaves the flags.
            kind => Command::Pending(Op::Start(Start {
                nsecs: raw & !word::KIND,
                flags: kind & !word::START,
            })),
        }
    }
}

/// What [`CommandWord::post`] and [`CommandWord::kill`] leave to their caller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Handover {
    /// The timer was on no queue: the caller has to put it on one, or to take care of its death.
    Caller,
    /// The timer is on a queue or with the drain, which will find what the word says now.
    Drain,
}

/// What [`CommandWord::supersede`] has found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Standing {
    /// The timer is on no queue, and not with the drain.
    Idle,
    /// The timer is on a queue, with nothing pending any more; this was. Or it is with the drain,
    /// which may be doing something that it took before.
    Queued(Option<Op>),
}

/// How the drain is to go on with a timer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Next {
    /// The timer is off the queues, and may be gone at any time.
    Done,
    /// Another operation was left meanwhile: put the timer on a queue again.
    Again,
    /// Take care of the timer's death.
    Bury,
}

/// The command of a timer; all methods may be called in any context, NMI included.
///
/// The accesses pair with each other: an exchange that succeeds is Full, so that whoever takes a
/// command sees what its poster wrote, and whoever finds the word changed back to `Idle` sees the
/// node off the queue.
///
/// # Invariants
///
/// The word is `Idle` exactly while the timer is alive and neither on a queue nor with the drain.
pub(crate) struct CommandWord(Atomic<i64>);

impl CommandWord {
    /// Returns the word of a timer on which no operation is possible before [`Self::birth`].
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(word::UNBORN as i64))
    }

    /// Makes operations possible, unless they are, or the timer was killed.
    pub(crate) fn birth(&self) {
        // INVARIANT: A new timer is on no queue.
        // Full: pairs with the Acquire in `load()`; who finds the timer alive finds it in an
        // element that was found in the map before.
        let _ = self.0.cmpxchg(word::UNBORN as i64, word::IDLE as i64, Full);
    }

    /// Kills a timer that is not born, for its maker; returns whether it was not. Who takes it out
    /// of its slot is still to call [`Self::kill`].
    pub(crate) fn abandon(&self) -> bool {
        // Full: as in `kill()`.
        self.0
            .cmpxchg(word::UNBORN as i64, word::DEAD as i64, Full)
            .is_ok()
    }

    #[inline]
    fn load(&self) -> u64 {
        // Acquire: pairs with the exchanges that wrote the word.
        self.0.load(Acquire) as u64
    }

    #[inline]
    fn change(&self, old: u64, new: Command) -> bool {
        self.0
            .cmpxchg(old as i64, new.encode() as i64, Full)
            .is_ok()
    }

    /// Returns whether the timer is born and not dead.
    #[inline]
    pub(crate) fn is_alive(&self) -> bool {
        self.load() & word::KIND != word::DEAD
    }

    /// Returns whether the timer is neither born nor killed.
    pub(crate) fn is_unborn(&self) -> bool {
        self.load() == word::UNBORN
    }

    /// Returns whether the timer was killed, or abandoned by its maker.
    pub(crate) fn is_killed(&self) -> bool {
        self.load() == word::DEAD
    }

    /// Checks that the timer is alive: [`ENOENT`] if it is dead, [`EINVAL`] if it is not born.
    #[inline]
    pub(crate) fn check_alive(&self) -> Result {
        let raw = self.load();

        if raw & word::KIND == word::DEAD {
            return Err(not_alive(raw));
        }
        Ok(())
    }

    /// Checks that the timer is not dead, born or not: [`ENOENT`] if it is.
    pub(crate) fn check_not_dead(&self) -> Result {
        if self.is_killed() {
            return Err(ENOENT);
        }
        Ok(())
    }

    /// Returns whether nothing is pending, the timer on no queue, and not dead.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.load() == word::IDLE
    }

    /// Leaves `op` to the drain, in place of what is pending; fails as [`Self::check_alive`] does.
    pub(crate) fn post(&self, op: Op) -> Result<Handover> {
        loop {
            let raw = self.load();
            let handover = match Command::decode(raw) {
                Command::Dead => return Err(not_alive(raw)),
                Command::Idle => Handover::Caller,
                Command::Queued | Command::Pending(_) => Handover::Drain,
            };
            // INVARIANT: If the word was `Idle`, the caller puts the timer on a queue.
            if self.change(raw, Command::Pending(op)) {
                return Ok(handover);
            }
        }
    }

    /// Takes back what is pending, before something newer is done at once, so that the older does
    /// not undo the newer; fails as [`Self::check_alive`] does.
    #[cold]
    pub(crate) fn supersede(&self) -> Result<Standing> {
        loop {
            let raw = self.load();
            match Command::decode(raw) {
                Command::Idle => return Ok(Standing::Idle),
                Command::Queued => return Ok(Standing::Queued(None)),
                Command::Dead => return Err(not_alive(raw)),
                Command::Pending(op) => {
                    if self.change(raw, Command::Queued) {
                        return Ok(Standing::Queued(Some(op)));
                    }
                }
            }
        }
    }

    /// Makes the timer dead. Called once, by who took it out of its slot.
    pub(crate) fn kill(&self) -> Handover {
        // Full: pairs with the Acquire in `load()`; who still sees the timer alive has its start
        // undone by the cancellations that follow this (R1).
        let old = self.0.xchg(word::DEAD as i64, Full) as u64;

        match old {
            // Dead if its maker has abandoned it.
            word::IDLE | word::UNBORN | word::DEAD => Handover::Caller,
            _ => Handover::Drain,
        }
    }

    /// Takes what is pending; for the drain, which took the timer off a queue.
    pub(crate) fn take(&self) -> Option<Op> {
        match self.supersede() {
            Ok(Standing::Queued(op)) => op,
            // Dead; it is not `Idle` while the drain has it.
            _ => None,
        }
    }

    /// Ends what the drain does with the timer.
    pub(crate) fn finish(&self) -> Next {
        loop {
            let raw = self.load();
            match Command::decode(raw) {
                Command::Dead => return Next::Bury,
                Command::Pending(_) => return Next::Again,
                // INVARIANT: The drain has the timer off the queue and is through with it.
                Command::Queued | Command::Idle => {
                    if self.change(raw, Command::Idle) {
                        return Next::Done;
                    }
                }
            }
        }
    }
}

/// Says of a word of the kind `DEAD` what it means for an operation.
#[cold]
fn not_alive(raw: u64) -> Error {
    if raw == word::UNBORN {
        EINVAL
    } else {
        ENOENT
    }
}

#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
#[kunit_tests(bpf_timer_command)]
mod tests {
    use super::*;

    fn born() -> CommandWord {
        let word = CommandWord::new();

        word.birth();
        word
    }

    fn start(nsecs: u64, absolute: bool, pinned: bool) -> Op {
        let absolute = if absolute { Start::ABSOLUTE } else { 0 };
        let pinned = if pinned { Start::PINNED } else { 0 };

        Op::Start(Start {
            nsecs,
            flags: absolute | pinned,
        })
    }

    #[test]
    fn commands_survive_encoding() {
        for absolute in [false, true] {
            for pinned in [false, true] {
                for nsecs in [0, 8, 1 << 40, u64::MAX & !7] {
                    let command = Command::Pending(start(nsecs, absolute, pinned));
                    assert_eq!(Command::decode(command.encode()), command);
                }
            }
        }
        for command in [
            Command::Idle,
            Command::Queued,
            Command::Pending(Op::Cancel),
            Command::Dead,
        ] {
            assert_eq!(Command::decode(command.encode()), command);
        }
    }

    #[test]
    fn times_are_rounded_up() {
        for (nsecs, stored) in [(0, 0), (1, 8), (7, 8), (8, 8), (9, 16), (u64::MAX, !7)] {
            let command = Command::Pending(start(nsecs, false, false));
            let expected = Command::Pending(start(stored, false, false));
            assert_eq!(Command::decode(command.encode()), expected);
        }
    }

    #[test]
    fn times_do_not_wrap() {
        let max = i64::MAX as u64;

        for nsecs in [max - 6, max] {
            let command = Command::Pending(start(nsecs, true, false));
            let expected = Command::Pending(start(max & !7, true, false));
            assert_eq!(Command::decode(command.encode()), expected);
        }
    }

    #[test]
    fn first_post_queues_and_last_wins() {
        let word = born();

        assert_eq!(word.post(start(8, false, false)), Ok(Handover::Caller));
        assert_eq!(word.post(Op::Cancel), Ok(Handover::Drain));
        assert_eq!(word.take(), Some(Op::Cancel));
        // While the drain is at it, a post still leaves it to the drain.
        assert_eq!(word.post(start(16, true, true)), Ok(Handover::Drain));
        assert_eq!(word.finish(), Next::Again);
        assert_eq!(word.take(), Some(start(16, true, true)));
        assert_eq!(word.finish(), Next::Done);
        assert_eq!(word.post(Op::Cancel), Ok(Handover::Caller));
    }

    #[test]
    fn direct_operations_supersede() {
        let word = born();

        assert_eq!(word.supersede(), Ok(Standing::Idle));
        assert_eq!(word.post(Op::Cancel), Ok(Handover::Caller));
        assert_eq!(word.supersede(), Ok(Standing::Queued(Some(Op::Cancel))));
        assert_eq!(word.supersede(), Ok(Standing::Queued(None)));
        // The timer is still on the queue.
        assert_eq!(word.post(Op::Cancel), Ok(Handover::Drain));
        assert_eq!(word.supersede(), Ok(Standing::Queued(Some(Op::Cancel))));
        assert_eq!(word.take(), None);
        assert_eq!(word.finish(), Next::Done);
    }

    #[test]
    fn nothing_is_done_before_birth() {
        let word = CommandWord::new();

        assert!(!word.is_alive() && word.is_unborn());
        assert_eq!(word.check_alive(), Err(EINVAL));
        assert_eq!(word.post(Op::Cancel), Err(EINVAL));
        assert_eq!(word.supersede(), Err(EINVAL));
        word.birth();
        assert!(word.is_idle() && !word.is_unborn());
        assert_eq!(word.check_alive(), Ok(()));
        // Whoever finds it busy does so again.
        assert_eq!(word.post(Op::Cancel), Ok(Handover::Caller));
        word.birth();
        assert_eq!(word.take(), Some(Op::Cancel));
    }

    #[test]
    fn who_dies_before_birth_is_not_born() {
        let word = CommandWord::new();

        assert_eq!(word.kill(), Handover::Caller);
        word.birth();
        assert_eq!(word.check_alive(), Err(ENOENT));
    }

    #[test]
    fn only_who_is_not_born_can_be_abandoned() {
        let word = CommandWord::new();

        assert!(word.abandon());
        assert!(!word.is_alive() && !word.is_unborn());
        word.birth();
        assert_eq!(word.check_alive(), Err(ENOENT));
        assert_eq!(word.kill(), Handover::Caller);

        let word = born();
        assert!(!word.abandon());
        assert_eq!(word.check_alive(), Ok(()));
    }

    #[test]
    fn dead_is_final() {
        let word = born();

        assert!(word.is_alive());
        assert_eq!(word.kill(), Handover::Caller);
        assert!(!word.is_alive());
        assert_eq!(word.post(Op::Cancel), Err(ENOENT));
        assert_eq!(word.supersede(), Err(ENOENT));
        assert_eq!(word.take(), None);
        assert_eq!(word.finish(), Next::Bury);
        assert!(!word.is_alive());
    }

    #[test]
    fn death_on_a_queue_is_left_to_the_drain() {
        let word = born();

        assert_eq!(word.post(Op::Cancel), Ok(Handover::Caller));
        assert_eq!(word.kill(), Handover::Drain);
        assert_eq!(word.take(), None);
        assert_eq!(word.finish(), Next::Bury);

        let word = born();
        assert_eq!(word.post(Op::Cancel), Ok(Handover::Caller));
        assert_eq!(word.take(), Some(Op::Cancel));
        assert_eq!(word.kill(), Handover::Drain);
        assert_eq!(word.finish(), Next::Bury);
    }
}
