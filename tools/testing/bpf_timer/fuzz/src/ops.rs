// SPDX-License-Identifier: GPL-2.0

//! Operations on timers, and random sequences of them.

use fastrand::Rng;
use std::fmt;
use std::mem::discriminant;

pub const KEYS: usize = 3;
pub const SLOTS: usize = MAPS.len() * KEYS;
/// The most times in a row that a callback does something.
pub const MAX_LEFT: u32 = 3;
/// The flags of init that name a clock: real-time, monotonic, and boot-time.
pub const CLOCKS: [u64; 3] = [0, 1, 7];

const MSEC: u64 = 1_000_000;
/// A timer that is due soon is due within this time. A CPU usually goes offline faster.
pub const SOON: u64 = 300 * MSEC;
const HOUR: u64 = 3_600_000 * MSEC;

/// In the order of `enum fuzz_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    Array,
    Hash,
    HashMalloc,
    Rhash,
    Lru,
    Inner,
}

pub const MAPS: [Map; 6] = [
    Map::Array,
    Map::Hash,
    Map::HashMalloc,
    Map::Rhash,
    Map::Lru,
    Map::Inner,
];

impl Map {
    /// Whether elements are always there.
    pub fn is_array(self) -> bool {
        matches!(self, Map::Array | Map::Inner)
    }

    /// Whether values have a lock.
    pub fn has_locks(self) -> bool {
        !matches!(self, Map::Lru | Map::Inner)
    }

    fn name(self) -> &'static str {
        match self {
            Map::Array => "array",
            Map::Hash => "hash",
            Map::HashMalloc => "hash_malloc",
            Map::Rhash => "rhash",
            Map::Lru => "lru",
            Map::Inner => "inner",
        }
    }
}

/// A map and a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(pub usize);

impl SlotId {
    pub fn new(map: Map, key: usize) -> Self {
        Self(map as usize * KEYS + key)
    }

    pub fn map(self) -> Map {
        MAPS[self.0 / KEYS]
    }

    pub fn key(self) -> u32 {
        (self.0 % KEYS) as u32
    }

    pub fn of(map: Map) -> impl Iterator<Item = SlotId> {
        (0..KEYS).map(move |key| SlotId::new(map, key))
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.map().name(), self.key())
    }
}

/// The program that does an operation. Each program has two callbacks of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prog {
    SyscallA,
    SyscallB,
    Tc,
    Hardirq,
    Nmi,
}

pub const PROGS: [Prog; 5] = [
    Prog::SyscallA,
    Prog::SyscallB,
    Prog::Tc,
    Prog::Hardirq,
    Prog::Nmi,
];

impl Prog {
    /// Whether this machine can run it: the breakpoint is one for x86.
    pub fn exists(self) -> bool {
        cfg!(target_arch = "x86_64") || self != Prog::Nmi
    }

    /// Whether it is a tracing program, which runs in an interrupt.
    pub fn interrupts(self) -> bool {
        matches!(self, Prog::Hardirq | Prog::Nmi)
    }
}

/// The context of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub prog: Prog,
    pub cpu: u32,
    pub irqs_off: bool,
}

impl Context {
    /// Whether operations are deferred: they do not touch the hrtimers themselves.
    pub fn is_deferred(self) -> bool {
        self.irqs_off || self.prog.interrupts()
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prog = match self.prog {
            Prog::SyscallA => "syscall A",
            Prog::SyscallB => "syscall B",
            Prog::Tc => "tc",
            Prog::Hardirq => "hardirq",
            Prog::Nmi => "NMI",
        };
        let irqs = if self.irqs_off { ", irqs off" } else { "" };
        write!(f, "({prog}, cpu {}{irqs})", self.cpu)
    }
}

/// The time of a start. It comes within [`SOON`], or not for an hour at least: the
/// model would have to guess about times in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Relative(u64),
    /// An absolute time, so much later than the timer's clock shows.
    Later(u64),
    Absolute(u64),
}

impl When {
    pub fn is_soon(self) -> bool {
        match self {
            When::Relative(nsecs) | When::Later(nsecs) => nsecs <= SOON,
            When::Absolute(nsecs) => nsecs < i64::MAX as u64,
        }
    }

    /// Whether it is negative as a time of the hrtimer core.
    pub fn is_negative(self) -> bool {
        matches!(self, When::Absolute(nsecs) if nsecs > i64::MAX as u64)
    }

    pub fn is_absolute(self) -> bool {
        !matches!(self, When::Relative(_))
    }

    fn random(rng: &mut Rng) -> Self {
        match rng.u32(..14) {
            0 => When::Relative(0),
            1..=3 => When::Relative(rng.u64(1..=MSEC)),
            4 => When::Relative(u64::MAX),
            5 => When::Relative(i64::MAX as u64),
            6 | 7 => When::Relative(rng.u64(HOUR..HOUR << 20)),
            8 => When::Absolute(rng.u64(0..100)),
            9 => When::Absolute(u64::MAX),
            10 => When::Absolute(i64::MAX as u64),
            11 | 12 => When::Later(rng.u64(0..=MSEC)),
            _ => When::Later(rng.u64(HOUR..HOUR << 20)),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Relative(nsecs) => write!(f, "{nsecs}"),
            When::Later(nsecs) => write!(f, "now + {nsecs}, ABS"),
            When::Absolute(nsecs) => write!(f, "{nsecs}, ABS"),
        }
    }
}

/// An operation of a BPF program on a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Init { flags: u64 },
    SetCallback { second: bool },
    Start { when: When, pin: bool, bad: bool },
    Cancel,
    CancelAsync,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Init { flags } => write!(f, "init(clock {flags})"),
            Act::SetCallback { second } => write!(f, "set_callback({})", u8::from(*second)),
            Act::Start { when, pin, bad } => {
                let pin = if *pin { ", PIN" } else { "" };
                let bad = if *bad { ", unknown flag" } else { "" };
                write!(f, "start({when}{pin}{bad})")
            }
            Act::Cancel => write!(f, "cancel()"),
            Act::CancelAsync => write!(f, "cancel_async()"),
        }
    }
}

/// The flags of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    Any,
    NoExist,
    Exist,
    Lock,
}

pub const BPF_F_LOCK: u64 = 4;

impl Update {
    pub fn flags(self) -> u64 {
        match self {
            Update::Any => 0,
            Update::NoExist => 1,
            Update::Exist => 2,
            Update::Lock => BPF_F_LOCK,
        }
    }
}

/// An operation on an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementAct {
    Delete,
    Update(Update, u32),
    /// Only user space does these two.
    Lookup,
    LookupAndDelete,
}

/// The action of a callback, in the order of `enum fuzz_action` after "nothing".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Restart { soon: bool },
    CancelSelf,
    CancelAsyncSelf,
    InitSelf,
    DeleteSelf,
    UpdateSelf,
    StartOther { other: SlotId, soon: bool },
    CancelOther(SlotId),
    CancelAsyncOther(SlotId),
    DeleteOther(SlotId),
}

impl Action {
    pub fn number(self) -> u32 {
        match self {
            Action::Restart { .. } => 1,
            Action::CancelSelf => 2,
            Action::CancelAsyncSelf => 3,
            Action::InitSelf => 4,
            Action::DeleteSelf => 5,
            Action::UpdateSelf => 6,
            Action::StartOther { .. } => 7,
            Action::CancelOther(_) => 8,
            Action::CancelAsyncOther(_) => 9,
            Action::DeleteOther(_) => 10,
        }
    }

    pub fn other(self) -> Option<SlotId> {
        match self {
            Action::StartOther { other, .. }
            | Action::CancelOther(other)
            | Action::CancelAsyncOther(other)
            | Action::DeleteOther(other) => Some(other),
            _ => None,
        }
    }

    pub fn changes_elements(self) -> bool {
        matches!(
            self,
            Action::DeleteSelf | Action::UpdateSelf | Action::DeleteOther(_)
        )
    }

    pub fn nsecs(self) -> u64 {
        match self {
            Action::Restart { soon: true } | Action::StartOther { soon: true, .. } => MSEC / 4,
            _ => HOUR,
        }
    }

    pub fn random(rng: &mut Rng) -> Self {
        // The callbacks can use two of the maps.
        let map = [Map::Array, Map::Hash][rng.usize(..2)];
        let other = SlotId::new(map, rng.usize(..KEYS));
        match rng.u32(..14) {
            0..=2 => Action::Restart { soon: rng.bool() },
            3 => Action::CancelSelf,
            4 => Action::CancelAsyncSelf,
            5 => Action::InitSelf,
            6 => Action::DeleteSelf,
            7 => Action::UpdateSelf,
            8..=10 => Action::StartOther {
                other,
                soon: rng.bool(),
            },
            11 => Action::CancelOther(other),
            12 => Action::CancelAsyncOther(other),
            _ => Action::DeleteOther(other),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Timer {
        slot: SlotId,
        act: Act,
        context: Context,
    },
    /// User space does this if there is no context.
    Element {
        slot: SlotId,
        act: ElementAct,
        context: Option<Context>,
    },
    /// Deletes several keys, in this order, up to the first that is not there.
    DeleteBatch {
        map: Map,
        keys: [u32; 2],
    },
    /// The callback of a slot does `action` the next `left` times.
    Behave {
        slot: SlotId,
        action: Action,
        left: u32,
    },
    /// Waits until all due timers have fired.
    Wait,
    ReplaceInner,
    /// Inserts so many elements that the LRU hash must evict some.
    FloodLru,
    /// `first` is done with interrupts off, and `second` on another CPU before
    /// they are on again.
    Overtake {
        slot: SlotId,
        first: Act,
        second: Act,
    },
    /// Init in an element just deleted, by a program that still has it.
    InitDeleted {
        slot: SlotId,
    },
    /// Closes the program.
    Unload {
        prog: Prog,
    },
    /// Takes a CPU offline, or brings it back.
    Cpu {
        cpu: u32,
        online: bool,
    },
}

impl Op {
    /// Whether the other operation is of the same kind.
    pub fn is_like(&self, other: &Op) -> bool {
        match (self, other) {
            (Op::Timer { act, .. }, Op::Timer { act: other, .. }) => {
                discriminant(act) == discriminant(other)
            }
            (Op::Element { act, .. }, Op::Element { act: other, .. }) => {
                discriminant(act) == discriminant(other)
            }
            _ => discriminant(self) == discriminant(other),
        }
    }

    /// The slot that the operation concerns, if it is exactly one.
    pub fn slot(&self) -> Option<SlotId> {
        match *self {
            Op::Timer { slot, .. }
            | Op::Element { slot, .. }
            | Op::Behave { slot, .. }
            | Op::Overtake { slot, .. }
            | Op::InitDeleted { slot } => Some(slot),
            _ => None,
        }
    }

    /// The context of the program that does the operation.
    pub fn context_mut(&mut self) -> Option<&mut Context> {
        match self {
            Op::Timer { context, .. } => Some(context),
            Op::Element { context, .. } => context.as_mut(),
            _ => None,
        }
    }

    /// The CPU that the operation needs besides CPU 0.
    pub fn cpu(&self) -> Option<u32> {
        match *self {
            Op::Timer { context, .. } => Some(context.cpu),
            Op::Element { context, .. } => context.map(|context| context.cpu),
            Op::Overtake { .. } => Some(1),
            _ => None,
        }
    }

    /// Whether the operation may change a timer's callback while the timer expires on
    /// another CPU.
    pub fn changes_callbacks(&self) -> bool {
        !matches!(
            self,
            Op::Wait
                | Op::Cpu { .. }
                | Op::Behave { .. }
                | Op::Timer {
                    act: Act::Init { .. } | Act::Start { .. } | Act::CancelAsync,
                    ..
                }
                | Op::Element {
                    act: ElementAct::Lookup,
                    ..
                }
        )
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Timer { slot, act, context } => write!(f, "{slot}: {act} {context}"),
            Op::Element { slot, act, context } => {
                write!(f, "{slot}: {act:?} ")?;
                match context {
                    Some(context) => write!(f, "{context}"),
                    None => write!(f, "(user space)"),
                }
            }
            Op::DeleteBatch { map, keys } => write!(f, "{}: delete batch {keys:?}", map.name()),
            Op::Behave { slot, action, left } => {
                write!(f, "{slot}: the callback does {left} times: {action:?}")
            }
            Op::Wait => write!(f, "wait"),
            Op::ReplaceInner => write!(f, "inner: replace the map"),
            Op::FloodLru => write!(f, "lru: insert so many that some are evicted"),
            Op::Overtake {
                slot,
                first,
                second,
            } => write!(f, "{slot}: {first} (irqs off), overtaken by {second}"),
            Op::InitDeleted { slot } => write!(f, "{slot}: delete, and init what was deleted"),
            Op::Unload { prog } => write!(f, "close {prog:?}"),
            Op::Cpu { cpu, online } => {
                let how = if *online {
                    "bring back"
                } else {
                    "take offline"
                };
                write!(f, "cpu {cpu}: {how}")
            }
        }
    }
}

/// Makes the operations of a case from a seed and the number of CPUs.
pub struct Generator {
    rng: Rng,
    cpus: u32,
    slots: Vec<SlotId>,
    loaded: Vec<Prog>,
    ops: Vec<Op>,
}

impl Generator {
    pub fn new(seed: u64, cpus: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut all: Vec<SlotId> = (0..SLOTS).map(SlotId).collect();
        rng.shuffle(&mut all);
        all.truncate(rng.usize(2..=5));
        Self {
            rng,
            cpus,
            slots: all,
            loaded: PROGS.into_iter().filter(|prog| prog.exists()).collect(),
            ops: Vec::new(),
        }
    }

    /// At least `count` operations.
    pub fn sequence(mut self, count: usize) -> Vec<Op> {
        for i in 0..self.slots.len() {
            self.fill(self.slots[i]);
        }
        while self.ops.len() < count {
            let slot = self.slot();
            self.some(slot);
        }
        self.ops
    }

    fn slot(&mut self) -> SlotId {
        self.slots[self.rng.usize(..self.slots.len())]
    }

    pub fn context(&mut self) -> Context {
        Context {
            prog: self.loaded[self.rng.usize(..self.loaded.len())],
            cpu: self.rng.u32(..self.cpus),
            irqs_off: self.rng.u32(..4) == 0,
        }
    }

    /// The context of an operation that must not be done in an interrupt.
    pub fn outside_interrupts(&mut self) -> Context {
        let mut context = self.context();
        if context.prog.interrupts() {
            context.prog = Prog::SyscallA;
        }
        context
    }

    fn timer(&mut self, slot: SlotId, act: Act) {
        let context = self.context();
        self.ops.push(Op::Timer { slot, act, context });
    }

    fn element(&mut self, slot: SlotId, act: ElementAct) {
        let user =
            self.rng.bool() || matches!(act, ElementAct::Lookup | ElementAct::LookupAndDelete);
        let context = (!user).then(|| self.outside_interrupts());
        self.ops.push(Op::Element { slot, act, context });
    }

    fn fill(&mut self, slot: SlotId) {
        if !slot.map().is_array() {
            let data = self.rng.u32(..1000);
            self.element(slot, ElementAct::Update(Update::Any, data));
        }
    }

    fn set_callback(&mut self) -> Act {
        Act::SetCallback {
            second: self.rng.bool(),
        }
    }

    pub fn init(&mut self) -> Act {
        let flags = match self.rng.u32(..12) {
            0..=4 => 1,
            5..=7 => 0,
            8..=10 => 7,
            _ => [2, 8, 16, 1 << 32, 1 << 63][self.rng.usize(..5)],
        };
        Act::Init { flags }
    }

    pub fn start(&mut self) -> Act {
        Act::Start {
            when: When::random(&mut self.rng),
            pin: self.rng.u32(..3) == 0,
            bad: self.rng.u32(..20) == 0,
        }
    }

    /// A start for a time that comes soon enough to wait for it.
    pub fn start_soon(&mut self) -> Act {
        let nsecs = match self.rng.u32(..4) {
            0 => self.rng.u64(0..=SOON),
            _ => self.rng.u64(0..=MSEC),
        };
        self.start_at(nsecs)
    }

    /// An operation on a timer, whatever state it is in.
    pub fn act(&mut self) -> Act {
        match self.rng.u32(..12) {
            0 => self.init(),
            1 | 2 => self.set_callback(),
            3..=6 => self.start(),
            7..=9 => Act::Cancel,
            _ => Act::CancelAsync,
        }
    }

    pub fn element_act(&mut self, map: Map) -> ElementAct {
        let data = self.rng.u32(..1000);
        match self.rng.u32(..10) {
            0..=2 => ElementAct::Delete,
            3 => ElementAct::Update(Update::Any, data),
            4 => ElementAct::Update(Update::NoExist, data),
            5 => ElementAct::Update(Update::Exist, data),
            6 | 7 => ElementAct::Update(Update::Lock, data),
            8 if !map.is_array() => ElementAct::LookupAndDelete,
            _ => ElementAct::Lookup,
        }
    }

    fn some(&mut self, slot: SlotId) {
        match self.rng.u32(..100) {
            0..=19 => {
                // Other operations need a timer that is armed.
                self.fill(slot);
                let init = self.init();
                self.timer(slot, init);
                let set_callback = self.set_callback();
                self.timer(slot, set_callback);
                let start = self.start();
                self.timer(slot, start);
            }
            20..=59 => {
                let act = self.act();
                self.timer(slot, act);
            }
            60..=69 => {
                let act = self.element_act(slot.map());
                self.element(slot, act);
            }
            70..=79 => self.ops.push(Op::Wait),
            80..=84 => self.push(slot),
            85..=90 => {
                let action = Action::random(&mut self.rng);
                let left = self.rng.u32(1..=MAX_LEFT);
                self.ops.push(Op::Behave { slot, action, left });
                let start = self.start();
                self.timer(slot, start);
            }
            91..=94 if self.cpus > 1 => {
                let (first, second) = self.overtaking();
                self.ops.push(Op::Overtake {
                    slot,
                    first,
                    second,
                });
                // The result shows the state after the two operations.
                self.timer(slot, Act::Cancel);
            }
            95 | 96 if !slot.map().is_array() && slot.map() != Map::Rhash => {
                self.ops.push(Op::InitDeleted { slot });
            }
            97 if !slot.map().is_array() && slot.map() != Map::Rhash => {
                let keys = [self.rng.u32(..KEYS as u32), self.rng.u32(..KEYS as u32)];
                self.ops.push(Op::DeleteBatch {
                    map: slot.map(),
                    keys,
                });
            }
            98 if slot.map() == Map::Inner => self.ops.push(Op::ReplaceInner),
            98 if slot.map() == Map::Lru => self.ops.push(Op::FloodLru),
            99 => {
                let prog = [Prog::SyscallB, Prog::Tc][self.rng.usize(..2)];
                self.loaded.retain(|loaded| *loaded != prog);
                self.ops.push(Op::Unload { prog });
            }
            _ => self.ops.push(Op::Wait),
        }
    }

    /// A timer that is started for later and later, as with a timeout that rarely comes.
    fn push(&mut self, slot: SlotId) {
        let mut acts = vec![
            Act::Init {
                flags: CLOCKS[self.rng.usize(..CLOCKS.len())],
            },
            self.set_callback(),
        ];
        let mut nsecs = self.rng.u64(MSEC / 50..=MSEC);

        for _ in 0..self.rng.u32(2..=6) {
            acts.push(self.start_at(nsecs));
            nsecs = SOON.min(nsecs + self.rng.u64(0..=2 * MSEC));
        }
        // A start for far off must not fire at the time of an earlier start.
        if self.rng.bool() {
            let nsecs = self.rng.u64(HOUR..2 * HOUR);
            acts.push(self.start_at(nsecs));
        }
        self.fill(slot);
        for act in acts {
            self.timer(slot, act);
        }
        match self.rng.u32(..3) {
            0 => self.timer(slot, Act::Cancel),
            1 => self.ops.push(Op::Wait),
            _ => {}
        }
    }

    fn start_at(&mut self, nsecs: u64) -> Act {
        let when = match self.rng.u32(..4) {
            0 => When::Later(nsecs),
            _ => When::Relative(nsecs),
        };
        Act::Start {
            when,
            pin: self.rng.u32(..4) == 0,
            bad: false,
        }
    }

    fn overtaking(&mut self) -> (Act, Act) {
        let start = Act::Start {
            when: When::Relative(HOUR),
            pin: self.rng.bool(),
            bad: false,
        };
        let later = Act::Start {
            when: When::Relative(2 * HOUR),
            pin: self.rng.bool(),
            bad: false,
        };
        match self.rng.u32(..9) {
            0 => (start, Act::CancelAsync),
            1 => (start, Act::Cancel),
            2 => (start, start),
            3 => (start, later),
            4 => (later, start),
            5 => (Act::CancelAsync, start),
            6 => (Act::Cancel, start),
            7 => (Act::Cancel, self.set_callback()),
            _ => (Act::Cancel, Act::Cancel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_sequence() {
        let sequence = |seed| Generator::new(seed, 2).sequence(200);
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }

    #[test]
    fn nothing_is_due_in_a_while() {
        let mut rng = Rng::with_seed(1);
        for _ in 0..1000 {
            let when = When::random(&mut rng);
            let (When::Relative(nsecs) | When::Later(nsecs)) = when else {
                continue;
            };
            assert_eq!(when.is_soon(), nsecs < HOUR, "{when}");
        }
    }

    #[test]
    fn all_is_done_in_all_contexts() {
        let mut done = Vec::new();
        for op in (0..20).flat_map(|seed| Generator::new(seed, 2).sequence(300)) {
            if let Op::Timer { act, context, .. } = op {
                let what = (discriminant(&act), context.prog, context.irqs_off);
                if !done.contains(&what) {
                    done.push(what);
                }
            }
        }
        let progs = PROGS.into_iter().filter(|prog| prog.exists()).count();
        assert_eq!(done.len(), 5 * progs * 2);
    }

    #[test]
    fn armed_timers_are_pushed() {
        let mut pushes = 0;
        for seed in 0..20 {
            let ops = Generator::new(seed, 2).sequence(300);
            for pair in ops.windows(2) {
                let [first, second] = [pair[0], pair[1]].map(|op| match op {
                    Op::Timer {
                        slot,
                        act:
                            Act::Start {
                                when: When::Relative(nsecs),
                                bad: false,
                                ..
                            },
                        ..
                    } => Some((slot, nsecs)),
                    _ => None,
                });
                if let (Some((slot, soon)), Some((same, later))) = (first, second) {
                    pushes += u32::from(slot == same && soon < later);
                }
            }
        }
        assert!(pushes > 100, "{pushes}");
    }

    #[test]
    fn closed_programs_are_not_used() {
        for seed in 0..200 {
            let mut closed = Vec::new();
            for op in Generator::new(seed, 2).sequence(300) {
                match op {
                    Op::Unload { prog } => closed.push(prog),
                    Op::Timer { context, .. } => assert!(!closed.contains(&context.prog)),
                    _ => {}
                }
            }
        }
    }
}
