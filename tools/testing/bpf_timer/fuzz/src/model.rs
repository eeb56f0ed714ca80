// SPDX-License-Identifier: GPL-2.0

//! The oracle: a model of what timers must do.
//!
//! For each slot, the model holds all states that the slot may be in. There is more
//! than one only after an operation on a timer that was due: it may or may not have
//! fired before. Later results narrow the states down. An operation is right if one of
//! the states leads to its result, with some order of the operation and the callbacks
//! seen beside it.
//!
//! Callbacks that begin before an operation returns must have ended before the caller
//! calls [`Model::check`] for that operation.

use crate::ops::{
    Act, Action, Context, ElementAct, Map, Op, Prog, SlotId, Update, When, CLOCKS, SLOTS,
};
use std::collections::BTreeSet;

pub const EPERM: i64 = 1;
pub const ENOENT: i64 = 2;
pub const ENOMEM: i64 = 12;
pub const EBUSY: i64 = 16;
pub const EEXIST: i64 = 17;
pub const EINVAL: i64 = 22;
pub const EDEADLK: i64 = 35;
pub const EOPNOTSUPP: i64 = 95;
pub const ECANCELED: i64 = 125;
/// `FUZZ_NO_ELEMENT`
pub const NO_ELEMENT: i64 = 1000;
/// The real-time clock.
const REALTIME: u64 = 0;

/// The implementation that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    Rust,
    /// The same as Rust, except for H3 to H9 of the contract and for cancellations with
    /// interrupts off, which fail.
    C,
}

/// The kernel that is tested.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    pub implementation: Implementation,
    /// Whether timers can be made in NMIs.
    pub init_in_nmi: bool,
    /// PREEMPT_RT: callbacks can be preempted, and few programs wait for them.
    pub rt: bool,
}

impl From<Implementation> for Kernel {
    fn from(implementation: Implementation) -> Self {
        Self {
            implementation,
            init_in_nmi: true,
            rt: false,
        }
    }
}

impl Kernel {
    /// Whether a cancellation there waits for the callback.
    pub fn waits(self, context: Context) -> bool {
        let in_softirq = context.prog == Prog::Tc;
        !(context.is_deferred() || self.rt && in_softirq)
    }

    /// Returns why no timer can be made there.
    pub fn no_init(self, prog: Prog) -> Option<i64> {
        match prog {
            Prog::Nmi if !self.init_in_nmi => Some(-EOPNOTSUPP),
            // There is no memory in a hard interrupt.
            Prog::Hardirq | Prog::Nmi if self.rt => Some(-ENOMEM),
            _ => None,
        }
    }
}

/// One of two callbacks of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback(pub u32);

impl Callback {
    pub fn new(prog: Prog, second: bool) -> Self {
        Self(prog as u32 * 2 + u32::from(second))
    }

    fn belongs_to(self, prog: Prog) -> bool {
        self.0 / 2 == prog as u32
    }
}

/// A callback that has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub slot: SlotId,
    pub callback: Callback,
    pub cpu: u32,
    /// The number of the action, zero for none, and its result.
    pub action: u32,
    pub ret: i64,
}

/// The observed results of an operation.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The return value or, for a look-up, the data.
    pub ret: i64,
    /// The result of the second operation if there are two.
    pub second: i64,
    pub events: Vec<Event>,
    /// The slots that are still there after a flood.
    pub kept: Vec<SlotId>,
    /// Programs that were closed, and whether they are still loaded.
    pub loaded: Vec<(Prog, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    No,
    Far,
    /// Due at once, on that CPU if it is pinned.
    Soon {
        cpu: Option<u32>,
    },
    /// Expired, and the callback will have ended when the operation is checked.
    Firing {
        cpu: Option<u32>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timer {
    clock: u64,
    callback: Option<Callback>,
    armed: Armed,
    /// The callback was seen on that CPU beside the operation that is checked: it may run still.
    may_run: Option<u32>,
    /// The hrtimer may expire on any CPU before the timer is due, because an earlier
    /// start was for a sooner time.
    early: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    present: bool,
    data: u32,
    timer: Option<Timer>,
}

impl Slot {
    const ABSENT: Slot = Slot {
        present: false,
        data: 0,
        timer: None,
    };

    fn with_data(data: u32) -> Self {
        Slot {
            present: true,
            data,
            timer: None,
        }
    }

    fn armed(self) -> Armed {
        self.timer.map_or(Armed::No, |timer| timer.armed)
    }

    fn is_due(self) -> bool {
        matches!(self.armed(), Armed::Soon { .. })
    }

    fn with_timer(self, change: impl FnOnce(&mut Timer)) -> Self {
        let mut timer = self.timer;
        if let Some(timer) = &mut timer {
            change(timer);
        }
        Slot { timer, ..self }
    }

    /// The state when a CPU has gone offline: its timers still fire, even pinned ones.
    fn without_cpu(self, gone: u32) -> Self {
        self.with_timer(|timer| match &mut timer.armed {
            Armed::Soon { cpu } | Armed::Firing { cpu } if *cpu == Some(gone) => *cpu = None,
            _ => {}
        })
    }

    /// The state after this callback was seen; `None` if it cannot have run.
    fn after(self, event: &Event) -> Option<Self> {
        let timer = self.timer?;
        let (Armed::Soon { cpu } | Armed::Firing { cpu }) = timer.armed else {
            return None;
        };
        let right = timer.callback == Some(event.callback)
            && cpu.is_none_or(|cpu| cpu == event.cpu)
            && event.action == 0;
        right.then(|| {
            self.with_timer(|timer| {
                timer.armed = Armed::No;
                timer.may_run = Some(event.cpu);
                // Timers on the real-time clock have two hrtimers.
                timer.early &= timer.clock == REALTIME;
            })
        })
    }
}

#[derive(Clone, Copy)]
struct Behaviour {
    action: Action,
    left: u32,
}

/// A return value, and the state after it.
type Outcomes = Vec<(i64, Slot)>;

/// Callbacks, and the possible results of their actions.
type Firings = Vec<(Event, Vec<i64>)>;

#[derive(Clone)]
pub struct Model {
    kernel: Kernel,
    slots: Vec<Vec<Slot>>,
    behaviours: [Option<Behaviour>; SLOTS],
    /// The model cannot judge the case any more.
    pub over: bool,
}

impl Model {
    pub fn new(kernel: impl Into<Kernel>) -> Self {
        let slot = |slot: usize| match SlotId(slot).map().is_array() {
            true => vec![Slot::with_data(0)],
            false => vec![Slot::ABSENT],
        };
        Self {
            kernel: kernel.into(),
            slots: (0..SLOTS).map(slot).collect(),
            behaviours: [None; SLOTS],
            over: false,
        }
    }

    fn is_c(&self) -> bool {
        self.kernel.implementation == Implementation::C
    }

    /// The clock of a slot's timer.
    pub fn clock(&self, slot: SlotId) -> u64 {
        self.slots[slot.0]
            .iter()
            .find_map(|slot| slot.timer)
            .map_or(1, |timer| timer.clock)
    }

    /// Slots that will fire.
    pub fn due(&self) -> Vec<SlotId> {
        self.find(|states| states.iter().all(|slot| slot.is_due()))
    }

    /// Slots that may or may not fire.
    pub fn unsettled(&self) -> Vec<SlotId> {
        self.find(|states| states.len() > 1)
    }

    fn find(&self, what: impl Fn(&[Slot]) -> bool) -> Vec<SlotId> {
        (0..SLOTS)
            .filter(|&slot| what(&self.slots[slot]))
            .map(SlotId)
            .collect()
    }

    /// Whether all due timers must have fired, and all slots be settled, before `op`:
    /// it acts on other slots, or on a slot with effects on others.
    pub fn wants_calm(&self, op: &Op) -> bool {
        match *op {
            Op::Behave { .. } | Op::Overtake { .. } | Op::InitDeleted { .. } => true,
            Op::Timer {
                slot,
                act: Act::Start { when, .. },
                ..
            } => when.is_soon() && self.behaviours[slot.0].is_some(),
            _ => false,
        }
    }

    /// Whether the model could not judge the results of `op`.
    pub fn is_hopeless(&self, op: &Op) -> bool {
        match *op {
            Op::Timer {
                slot,
                act: Act::Start { when, .. },
                ..
            } => self.is_open(when) && self.behaviours[slot.0].is_some(),
            _ => false,
        }
    }

    /// Whether a timer that is started for `when` may or may not fire. The hrtimer core
    /// saturates the latest time to expire, but not the earliest one if it is negative.
    /// So in C such a timer expires along with others that are due.
    fn is_open(&self, when: When) -> bool {
        self.is_c() && when.is_negative()
    }

    /// How many callbacks will run before all is calm again, if `op` wants calm.
    pub fn firings(&self, op: &Op) -> usize {
        match self.chain(op) {
            Some((_, expected)) => expected.len(),
            None => 0,
        }
    }

    /// Whether a timer holds the closed program; `None` if that is open.
    pub fn is_held(&self, prog: Prog) -> Option<bool> {
        let holds = |slot: &Slot| {
            slot.timer
                .and_then(|timer| timer.callback)
                .is_some_and(|callback| callback.belongs_to(prog))
        };
        if self.slots.iter().any(|states| states.iter().all(holds)) {
            Some(true)
        } else if self.slots.iter().flatten().any(holds) {
            None
        } else {
            Some(false)
        }
    }

    /// Checks that `seen` is possible, and brings the model up to date.
    pub fn check(&mut self, op: &Op, seen: &Seen) -> Result<(), String> {
        if let Some((after, expected)) = self.chain(op) {
            if seen.ret == 0 {
                self.check_chain(&expected, seen)?;
                *self = after;
                return Ok(());
            }
        }
        let before = self.clone();
        for slot in (0..SLOTS).map(SlotId) {
            let events: Vec<Event> = seen
                .events
                .iter()
                .filter(|e| e.slot == slot)
                .copied()
                .collect();
            let next = before.step(op, slot, &events, seen)?;
            self.slots[slot.0] = next;
        }
        match *op {
            Op::Behave { slot, action, left } => {
                self.behaviours[slot.0] = Some(Behaviour { action, left });
            }
            Op::DeleteBatch { map, keys } => before.check_batch(map, keys, seen.ret)?,
            Op::Wait => self.check_waited(&before, seen)?,
            Op::InitDeleted { .. } if self.is_c() && seen.second == 0 => self.over = true,
            _ => {}
        }
        Ok(())
    }

    /// The states of a slot after `op`.
    fn step(
        &self,
        op: &Op,
        slot: SlotId,
        events: &[Event],
        seen: &Seen,
    ) -> Result<Vec<Slot>, String> {
        let mut next = Vec::new();
        let mut allowed = BTreeSet::new();

        for &state in &self.slots[slot.0] {
            for before in 0..=events.len() {
                let (first, rest) = events.split_at(before);
                let Some(state) = after_all(state, first) else {
                    break;
                };
                for (ret, state) in self.outcomes(op, slot, state, seen) {
                    allowed.insert(ret);
                    let state = after_all(state, rest).and_then(settled);
                    match state {
                        Some(state) if ret == seen.ret && !next.contains(&state) => {
                            next.push(state)
                        }
                        _ => {}
                    }
                }
            }
        }
        if !next.is_empty() {
            return Ok(next);
        }
        let states = &self.slots[slot.0];
        if !allowed.contains(&seen.ret) && !allowed.is_empty() {
            return Err(format!(
                "got {}, expected {}; {slot} was {}, callbacks seen: {events:?}",
                name(seen.ret),
                list(&allowed),
                describe(states)
            ));
        }
        let second = match op {
            Op::Overtake { .. } | Op::InitDeleted { .. } => format!(", then {}", name(seen.second)),
            _ => String::new(),
        };
        Err(format!(
            "got {}{second} and the callbacks {events:?}, which cannot be; {slot} was {}",
            name(seen.ret),
            describe(states)
        ))
    }

    /// The possible results of `op`, each with the state of a slot after it. Any result
    /// is possible for a slot that `op` does not concern.
    fn outcomes(&self, op: &Op, this: SlotId, state: Slot, seen: &Seen) -> Outcomes {
        let same = vec![(seen.ret, state)];
        match *op {
            Op::Timer { slot, act, context } if slot == this => self.on_timer(state, act, context),
            Op::Element { slot, act, .. } if slot == this => {
                self.on_element(this.map(), state, act)
            }
            Op::DeleteBatch { map, keys } if map == this.map() => {
                let deleted = self.deleted(map, keys).0.contains(&this);
                vec![(seen.ret, if deleted { Slot::ABSENT } else { state })]
            }
            Op::ReplaceInner if this.map() == Map::Inner => vec![(0, Slot::with_data(0))],
            Op::FloodLru if this.map() == Map::Lru && !seen.kept.contains(&this) => {
                vec![(0, Slot::ABSENT)]
            }
            Op::Overtake {
                slot,
                first,
                second,
            } if slot == this => self.on_overtaking(state, first, second, seen),
            Op::InitDeleted { slot } if slot == this => self.on_init_deleted(state, seen),
            Op::Cpu { cpu, online: false } => vec![(0, state.without_cpu(cpu))],
            _ => same,
        }
    }

    fn on_timer(&self, slot: Slot, act: Act, context: Context) -> Outcomes {
        let deferred = context.is_deferred();
        let same = |ret: i64| vec![(ret, slot)];

        if !slot.present {
            return same(NO_ELEMENT);
        }
        match act {
            Act::Init { flags } if !CLOCKS.contains(&flags) => same(-EINVAL),
            Act::Cancel if deferred && self.is_c() => same(-EOPNOTSUPP),
            Act::Start { bad: true, .. } => same(-EINVAL),
            Act::Init { flags } => match slot.timer {
                Some(_) => same(-EBUSY),
                None => match self.kernel.no_init(context.prog) {
                    Some(error) => same(error),
                    None => init(slot, flags),
                },
            },
            _ => match slot.timer {
                Some(timer) => self.on_initialized(slot, timer, act, context),
                None => same(-EINVAL),
            },
        }
    }

    fn on_initialized(&self, slot: Slot, timer: Timer, act: Act, context: Context) -> Outcomes {
        let disarmed = slot.with_timer(|timer| {
            timer.armed = Armed::No;
            timer.early = false;
        });
        match act {
            Act::Init { .. } => vec![(-EBUSY, slot)],
            Act::SetCallback { second } => {
                let callback = Callback::new(context.prog, second);
                vec![(0, slot.with_timer(|timer| timer.callback = Some(callback)))]
            }
            Act::Start { .. } if timer.callback.is_none() => vec![(-EINVAL, slot)],
            Act::Start { when, pin, .. } => self.start(slot, timer, when, pin, context),
            Act::Cancel => {
                let cancelled = disarmed.with_timer(|timer| timer.callback = None);
                match timer.armed {
                    Armed::No if !self.kernel.waits(context) => {
                        let mut outcomes = vec![(0, cancelled)];
                        outcomes.extend(self.on_running(slot, timer, cancelled, context));
                        outcomes
                    }
                    Armed::No => vec![(0, cancelled)],
                    // In C, this is 0 if it has expired but not reached its callback.
                    Armed::Soon { .. } if self.is_c() => vec![(1, cancelled), (0, cancelled)],
                    _ => vec![(1, cancelled)],
                }
            }
            Act::CancelAsync if context.is_deferred() => {
                let mut outcomes = vec![(-ECANCELED, disarmed)];
                self.add_no_memory(slot, &mut outcomes);
                outcomes
            }
            Act::CancelAsync => match timer.armed {
                Armed::No if timer.may_run.is_some() => vec![(0, slot), (-1, slot)],
                Armed::No => vec![(0, slot)],
                Armed::Far => vec![(1, disarmed)],
                Armed::Soon { cpu } | Armed::Firing { cpu } => {
                    let firing = slot.with_timer(|timer| timer.armed = Armed::Firing { cpu });
                    vec![(1, disarmed), (-1, firing)]
                }
            },
        }
    }

    /// The outcomes of a cancellation that does not wait if the callback may run.
    fn on_running(&self, slot: Slot, timer: Timer, cancelled: Slot, context: Context) -> Outcomes {
        let Some(cpu) = timer.may_run else {
            return vec![];
        };
        let here = cpu == context.cpu;
        let mut outcomes = vec![];
        // On PREEMPT_RT, it may have preempted the callback.
        if !here || self.kernel.rt {
            outcomes.push((-EBUSY, cancelled));
        }
        // It has interrupted the callback. An operation in an NMI interrupts a task here, because
        // a task causes each NMI.
        if here && context.prog == Prog::Hardirq {
            outcomes.push((-EDEADLK, slot));
        }
        outcomes
    }

    fn start(&self, slot: Slot, timer: Timer, when: When, pin: bool, context: Context) -> Outcomes {
        // H3: C takes a time of day as a monotonic time, which is far off.
        let never = self.is_c() && timer.clock == REALTIME && matches!(when, When::Later(_));
        let armed = if when.is_soon() && !never {
            // A callback that runs, or an hrtimer that expires, keeps its timer on its CPU.
            let settled = match timer.armed {
                Armed::No => timer.may_run.is_none() && !timer.early,
                Armed::Far => !timer.early,
                _ => false,
            };
            Armed::Soon {
                cpu: (pin && settled).then_some(context.cpu),
            }
        } else {
            Armed::Far
        };
        let started = slot.with_timer(|timer| {
            // In C, the start moves the hrtimer.
            timer.early |= slot.is_due() && !self.is_c();
            timer.armed = armed;
        });
        let mut outcomes = vec![(0, started)];
        if self.is_open(when) {
            let due = Armed::Soon { cpu: None };
            outcomes.push((0, started.with_timer(|timer| timer.armed = due)));
        }
        if context.is_deferred() {
            self.add_no_memory(slot, &mut outcomes);
        }
        outcomes
    }

    /// H5: in C, deferred operations need memory.
    fn add_no_memory(&self, slot: Slot, outcomes: &mut Outcomes) {
        if self.is_c() {
            outcomes.push((-ENOMEM, slot));
        }
    }

    fn on_element(&self, map: Map, slot: Slot, act: ElementAct) -> Outcomes {
        let same = |ret: i64| vec![(ret, slot)];
        match act {
            ElementAct::Delete if map.is_array() => same(-EINVAL),
            ElementAct::Update(Update::Lock, _) if !map.has_locks() => same(-EINVAL),
            ElementAct::Update(Update::NoExist, _) if slot.present => same(-EEXIST),
            ElementAct::Update(Update::Exist, _) if !slot.present => same(-ENOENT),
            // H9: in C, a locked update leaves the timer.
            ElementAct::Update(Update::Lock, data)
                if self.is_c() && slot.present && matches!(map, Map::Hash | Map::HashMalloc) =>
            {
                vec![(0, Slot { data, ..slot })]
            }
            ElementAct::Update(_, data) => vec![(0, Slot::with_data(data))],
            _ if !slot.present => same(-ENOENT),
            ElementAct::Delete => vec![(0, Slot::ABSENT)],
            ElementAct::Lookup => same(slot.data.into()),
            ElementAct::LookupAndDelete => vec![(slot.data.into(), Slot::ABSENT)],
        }
    }

    /// The slots that a batch deletes, and its result.
    fn deleted(&self, map: Map, keys: [u32; 2]) -> (Vec<SlotId>, i64) {
        let mut deleted = Vec::new();
        for key in keys {
            let slot = SlotId::new(map, key as usize);
            // All states agree whether it is present: firing does not change that.
            if !self.slots[slot.0][0].present || deleted.contains(&slot) {
                return (deleted, -ENOENT);
            }
            deleted.push(slot);
        }
        (deleted, 0)
    }

    fn check_batch(&self, map: Map, keys: [u32; 2], ret: i64) -> Result<(), String> {
        let (_, expected) = self.deleted(map, keys);
        if ret == expected {
            return Ok(());
        }
        Err(format!("got {}, expected {}", name(ret), name(expected)))
    }

    fn on_overtaking(&self, slot: Slot, first: Act, second: Act, seen: &Seen) -> Outcomes {
        let context = |irqs_off| Context {
            prog: Prog::SyscallA,
            cpu: 0,
            irqs_off,
        };
        let mut outcomes = Vec::new();
        for (ret, after) in self.on_timer(slot, first, context(true)) {
            for (ret2, end) in self.on_timer(after, second, context(false)) {
                if ret2 == seen.second {
                    outcomes.push((ret, end));
                }
            }
            if !self.is_c() || ret == -EOPNOTSUPP {
                continue;
            }
            // H4: in C, the first may undo the second.
            for (ret2, middle) in self.on_timer(slot, second, context(false)) {
                if ret2 == seen.second {
                    let armed = after.armed();
                    outcomes.push((ret, middle.with_timer(|timer| timer.armed = armed)));
                }
            }
        }
        outcomes
    }

    fn on_init_deleted(&self, slot: Slot, seen: &Seen) -> Outcomes {
        if !slot.present {
            return vec![(-ENOENT, slot)];
        }
        // H7: in C, init succeeds, and nothing frees the timer in time.
        let refused = [-ENOENT, -ENOMEM].contains(&seen.second) || self.is_c() && seen.second == 0;
        if refused {
            vec![(0, Slot::ABSENT)]
        } else {
            Vec::new()
        }
    }

    fn check_waited(&self, before: &Model, seen: &Seen) -> Result<(), String> {
        for slot in before.due() {
            if !seen.events.iter().any(|event| event.slot == slot) {
                let states = describe(&before.slots[slot.0]);
                return Err(format!("{slot} did not fire, and was {states}"));
            }
        }
        for &(prog, loaded) in &seen.loaded {
            match self.is_held(prog) {
                Some(true) if !loaded => {
                    return Err(format!(
                        "{prog:?} is unloaded, but a timer has a callback of it"
                    ))
                }
                Some(false) if loaded => {
                    return Err(format!("{prog:?} is closed, in no timer, and still loaded"))
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Follows a start whose callback does something. Returns the model after it, and
    /// the callbacks with the possible results of their actions.
    fn chain(&self, op: &Op) -> Option<(Model, Firings)> {
        let Op::Timer { slot, act, context } = *op else {
            return None;
        };
        if !self.wants_calm(op) {
            return None;
        }
        let (ret, started) = self.on_timer(self.slots[slot.0][0], act, context)[0];
        if ret != 0 || !started.is_due() {
            return None;
        }
        let mut model = self.clone();
        let mut expected = Firings::new();
        let mut due = Some(slot);

        model.slots[slot.0] = vec![started];
        while let Some(slot) = due {
            let fired = expected
                .iter()
                .map(|(event, _)| event.slot)
                .collect::<Vec<_>>();
            let (event, rets, next) = model.fire(slot, &fired)?;
            expected.push((event, rets));
            due = next;
        }
        Some((model, expected))
    }

    /// Fires a slot. Returns its event, the possible results of its action, and the
    /// slot that is due next. The callbacks of `fired` may not have returned on other
    /// CPUs.
    fn fire(
        &mut self,
        slot: SlotId,
        fired: &[SlotId],
    ) -> Option<(Event, Vec<i64>, Option<SlotId>)> {
        let before = self.slots[slot.0][0];
        let timer = before.timer?;
        let Armed::Soon { cpu } = timer.armed else {
            return None;
        };
        let mut event = Event {
            slot,
            callback: timer.callback?,
            cpu: cpu.unwrap_or(ANY_CPU),
            action: 0,
            ret: 0,
        };

        let fired_now = before.with_timer(|timer| {
            timer.armed = Armed::No;
            timer.early &= timer.clock == REALTIME;
        });
        self.slots[slot.0] = vec![fired_now];
        let Some(action) = self.next_action(slot) else {
            return Some((event, vec![0], None));
        };
        event.action = action.number();
        let (rets, due) = self.act(slot, action, fired);
        Some((event, rets, due))
    }

    fn next_action(&mut self, slot: SlotId) -> Option<Action> {
        let behaviour = self.behaviours[slot.0].as_mut()?;
        let action = behaviour.action;

        behaviour.left -= 1;
        if behaviour.left == 0 {
            self.behaviours[slot.0] = None;
        }
        Some(action)
    }

    /// Does what the callback of a slot does.
    fn act(&mut self, own: SlotId, action: Action, fired: &[SlotId]) -> (Vec<i64>, Option<SlotId>) {
        let target = action.other().unwrap_or(own);
        let context = Context {
            prog: Prog::SyscallA,
            cpu: 0,
            irqs_off: false,
        };
        let state = self.slots[target.0][0];
        let on_timer = |act| self.on_timer(state, act, context)[0];
        let start = |when| {
            on_timer(Act::Start {
                when,
                pin: false,
                bad: false,
            })
        };
        let runs = target == own && state.timer.is_some();
        let (ret, next) = match action {
            Action::CancelSelf | Action::CancelOther(_) if runs => (-EDEADLK, state),
            Action::CancelAsyncSelf | Action::CancelAsyncOther(_) if runs => (-1, state),
            Action::CancelSelf | Action::CancelOther(_) => on_timer(Act::Cancel),
            Action::CancelAsyncSelf | Action::CancelAsyncOther(_) => on_timer(Act::CancelAsync),
            Action::InitSelf => on_timer(Act::Init { flags: 1 }),
            Action::Restart { .. } | Action::StartOther { .. } => {
                start(When::Relative(action.nsecs()))
            }
            Action::DeleteSelf | Action::DeleteOther(_) => {
                self.on_element(target.map(), state, ElementAct::Delete)[0]
            }
            Action::UpdateSelf => {
                self.on_element(target.map(), state, ElementAct::Update(Update::Any, 0))[0]
            }
        };
        let mut rets = vec![ret];
        if ret == 0 && matches!(action, Action::CancelAsyncOther(_)) && fired.contains(&target) {
            rets.push(-1);
        }
        self.slots[target.0] = vec![next];
        (rets, next.is_due().then_some(target))
    }

    /// Callbacks of one slot come one after the other. Callbacks of several slots may
    /// overlap, and may be logged in another order.
    fn check_chain(&self, expected: &Firings, seen: &Seen) -> Result<(), String> {
        for slot in (0..SLOTS).map(SlotId) {
            let wanted: Vec<_> = expected
                .iter()
                .filter(|(event, _)| event.slot == slot)
                .collect();
            let got: Vec<_> = seen
                .events
                .iter()
                .filter(|event| event.slot == slot)
                .collect();
            let right = |((event, rets), got): (&&(Event, Vec<i64>), &&Event)| {
                event.callback == got.callback
                    && event.action == got.action
                    && [ANY_CPU, got.cpu].contains(&event.cpu)
                    && rets.contains(&got.ret)
            };
            if wanted.len() != got.len() || !wanted.iter().zip(&got).all(right) {
                return Err(format!(
                    "{slot}: expected the callbacks {wanted:?}, got {got:?}"
                ));
            }
        }
        Ok(())
    }
}

/// The CPU of an expected [`Event`] that any CPU may have.
const ANY_CPU: u32 = u32::MAX;

fn init(slot: Slot, clock: u64) -> Outcomes {
    let timer = Timer {
        clock,
        callback: None,
        armed: Armed::No,
        may_run: None,
        early: false,
    };
    let new = Slot {
        timer: Some(timer),
        ..slot
    };
    vec![(0, new), (-ENOMEM, slot)]
}

fn after_all(slot: Slot, events: &[Event]) -> Option<Slot> {
    events
        .iter()
        .try_fold(slot, |slot, event| slot.after(event))
}

/// At the end of an operation all callbacks that ran beside it have ended.
fn settled(slot: Slot) -> Option<Slot> {
    match slot.armed() {
        Armed::Firing { .. } => None,
        _ => Some(slot.with_timer(|timer| timer.may_run = None)),
    }
}

fn name(ret: i64) -> String {
    let names = [
        (EPERM, "EPERM, or -1"),
        (ENOENT, "ENOENT"),
        (ENOMEM, "ENOMEM"),
        (EBUSY, "EBUSY"),
        (EEXIST, "EEXIST"),
        (EINVAL, "EINVAL"),
        (EDEADLK, "EDEADLK"),
        (EOPNOTSUPP, "EOPNOTSUPP"),
        (ECANCELED, "ECANCELED"),
    ];
    match names.iter().find(|(errno, _)| ret == -errno) {
        Some((_, name)) => format!("-{name}"),
        None if ret == NO_ELEMENT => "no element".into(),
        None => ret.to_string(),
    }
}

fn list(rets: &BTreeSet<i64>) -> String {
    let names: Vec<String> = rets.iter().map(|&ret| name(ret)).collect();
    names.join(" or ")
}

fn describe(states: &[Slot]) -> String {
    let words: Vec<String> = states.iter().map(|slot| format!("{slot:?}")).collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Implementation::{Rust, C};

    const HOUR: u64 = 3_600_000_000_000;
    const SLOT: SlotId = SlotId(3); // hash[0]
    const OTHER: SlotId = SlotId(0); // array[0]
    const FIRST: Callback = Callback(0);

    fn in_context(slot: SlotId, act: Act, prog: Prog, irqs_off: bool) -> Op {
        let context = Context {
            prog,
            cpu: 1,
            irqs_off,
        };
        Op::Timer { slot, act, context }
    }

    fn direct(act: Act) -> Op {
        in_context(SLOT, act, Prog::SyscallA, false)
    }

    fn deferred(act: Act) -> Op {
        in_context(SLOT, act, Prog::SyscallA, true)
    }

    fn in_nmi(act: Act) -> Op {
        in_context(SLOT, act, Prog::Nmi, false)
    }

    fn in_hardirq(act: Act) -> Op {
        in_context(SLOT, act, Prog::Hardirq, false)
    }

    fn start(when: When, pin: bool) -> Act {
        Act::Start {
            when,
            pin,
            bad: false,
        }
    }

    fn soon() -> Op {
        direct(start(When::Relative(1000), false))
    }

    fn far() -> Op {
        direct(start(When::Relative(HOUR), false))
    }

    fn update(update: Update) -> Op {
        Op::Element {
            slot: SLOT,
            act: ElementAct::Update(update, 7),
            context: None,
        }
    }

    fn ret(ret: i64) -> Seen {
        Seen {
            ret,
            ..Seen::default()
        }
    }

    fn fired(slot: SlotId, callback: Callback) -> Event {
        Event {
            slot,
            callback,
            cpu: 1,
            action: 0,
            ret: 0,
        }
    }

    fn with_events(ret: i64, events: &[Event]) -> Seen {
        Seen {
            ret,
            events: events.to_vec(),
            ..Seen::default()
        }
    }

    /// A model with a timer in the slot that is not armed.
    fn ready_on(kernel: impl Into<Kernel>, flags: u64) -> Model {
        let mut model = Model::new(kernel);
        for op in [
            update(Update::Any),
            direct(Act::Init { flags }),
            direct(Act::SetCallback { second: false }),
        ] {
            model.check(&op, &ret(0)).unwrap();
        }
        model
    }

    fn ready() -> Model {
        ready_on(Rust, 1)
    }

    fn after(mut model: Model, ops: &[Op]) -> Model {
        for op in ops {
            model.check(op, &ret(0)).unwrap();
        }
        model
    }

    /// Checks that the model allows exactly `allowed` of the usual results.
    fn allows(model: &Model, op: &Op, allowed: &[i64]) {
        for errno in [
            EPERM, ENOENT, ENOMEM, EBUSY, EEXIST, EINVAL, EDEADLK, EOPNOTSUPP, ECANCELED,
        ] {
            let result = model.clone().check(op, &ret(-errno));
            assert_eq!(
                result.is_ok(),
                allowed.contains(&-errno),
                "{op}: {errno} {result:?}"
            );
        }
        for value in [0, 1, NO_ELEMENT] {
            let result = model.clone().check(op, &ret(value));
            assert_eq!(
                result.is_ok(),
                allowed.contains(&value),
                "{op}: {value} {result:?}"
            );
        }
    }

    #[test]
    fn knows_each_result_without_timer() {
        let model = Model::new(Rust);
        allows(&model, &soon(), &[NO_ELEMENT]);
        let model = after(model, &[update(Update::Any)]);
        allows(&model, &soon(), &[-EINVAL]);
        allows(&model, &direct(Act::Cancel), &[-EINVAL]);
        allows(&model, &deferred(Act::Cancel), &[-EINVAL]);
        allows(&model, &deferred(Act::CancelAsync), &[-EINVAL]);
        allows(&model, &direct(Act::Init { flags: 1 }), &[0, -ENOMEM]);
        allows(&model, &direct(Act::Init { flags: 2 }), &[-EINVAL]);
        let init = in_context(SLOT, Act::Init { flags: 1 }, Prog::Nmi, false);
        allows(&model, &init, &[0, -ENOMEM]);
        let mut debug = model.clone();
        debug.kernel.init_in_nmi = false;
        allows(&debug, &init, &[-EOPNOTSUPP]);
        allows(&model, &update(Update::NoExist), &[-EEXIST]);
    }

    #[test]
    fn knows_each_result_with_timer() {
        let model = ready();
        allows(&model, &direct(Act::Init { flags: 1 }), &[-EBUSY]);
        allows(&model, &direct(Act::Cancel), &[0]);
        allows(&model, &deferred(Act::Cancel), &[0]);
        allows(&model, &direct(Act::CancelAsync), &[0]);
        allows(&model, &far(), &[0]);
        let model = after(model, &[far()]);
        allows(&model, &direct(Act::Cancel), &[1]);
        allows(&model, &direct(Act::CancelAsync), &[1]);
        allows(&model, &deferred(Act::CancelAsync), &[-ECANCELED]);
        for cancel in [direct, deferred, in_nmi, in_hardirq].map(|done| done(Act::Cancel)) {
            allows(&model, &cancel, &[1]);
            let mut model = model.clone();
            model.check(&cancel, &ret(1)).unwrap();
            // The cancellation has dropped the callback.
            allows(&model, &far(), &[-EINVAL]);
        }
    }

    #[test]
    fn c_refuses_to_cancel_with_interrupts_off() {
        let mut model = after(ready_on(C, 1), &[far()]);
        for cancel in [deferred, in_nmi, in_hardirq].map(|done| done(Act::Cancel)) {
            allows(&model, &cancel, &[-EOPNOTSUPP]);
            model.check(&cancel, &ret(-EOPNOTSUPP)).unwrap();
        }
        allows(&model, &direct(Act::Cancel), &[1]);
        let empty = after(Model::new(C), &[update(Update::Any)]);
        allows(&empty, &deferred(Act::Cancel), &[-EOPNOTSUPP]);
    }

    #[test]
    fn cancel_is_refused_only_while_the_callback_runs() {
        let here = fired(SLOT, FIRST);
        let elsewhere = Event { cpu: 0, ..here };
        let model = after(ready(), &[soon()]);
        for (done, from_its_cpu) in [
            (deferred as fn(Act) -> Op, &[0][..]),
            (in_nmi, &[0]),
            (in_hardirq, &[0, -EDEADLK]),
        ] {
            let cancel = done(Act::Cancel);
            for result in [0, 1, -EBUSY, -EDEADLK] {
                let check = |event| {
                    let seen = with_events(result, &[event]);
                    model.clone().check(&cancel, &seen).is_ok()
                };
                assert_eq!(check(here), from_its_cpu.contains(&result), "{cancel}");
                assert_eq!(check(elsewhere), [0, -EBUSY].contains(&result), "{cancel}");
            }
            allows(&model, &cancel, &[1]);
        }
    }

    #[test]
    fn programs_of_softirqs_do_not_wait_on_preempt_rt() {
        let rt = Kernel {
            rt: true,
            ..Rust.into()
        };
        let here = fired(SLOT, FIRST);
        let elsewhere = Event { cpu: 0, ..here };
        let due = after(ready_on(rt, 1), &[soon()]);
        let in_tc = |act| in_context(SLOT, act, Prog::Tc, false);
        // The program may have preempted the callback.
        for event in [here, elsewhere] {
            let mut model = due.clone();
            let busy = with_events(-EBUSY, &[event]);
            model.check(&in_tc(Act::Cancel), &busy).unwrap();
            allows(&model, &far(), &[-EINVAL]);
            let busy = with_events(-EBUSY, &[event]);
            assert!(due.clone().check(&direct(Act::Cancel), &busy).is_err());
        }
        let empty = after(Model::new(rt), &[update(Update::Any)]);
        let init = |prog| in_context(SLOT, Act::Init { flags: 1 }, prog, false);
        allows(&empty, &init(Prog::Hardirq), &[-ENOMEM]);
        allows(&empty, &init(Prog::Tc), &[0, -ENOMEM]);
    }

    #[test]
    fn cancel_that_finds_the_callback_on_another_cpu_is_done() {
        let event = fired(SLOT, FIRST);
        let elsewhere = Event { cpu: 0, ..event };
        let due = after(ready(), &[soon()]);
        let mut model = due.clone();
        let busy = with_events(-EBUSY, &[elsewhere]);
        model.check(&deferred(Act::Cancel), &busy).unwrap();
        allows(&model, &far(), &[-EINVAL]);
        // A cancellation that has interrupted the callback does nothing.
        let mut model = due;
        let deadlock = with_events(-EDEADLK, &[event]);
        model.check(&in_hardirq(Act::Cancel), &deadlock).unwrap();
        allows(&model, &far(), &[0]);
    }

    #[test]
    fn pushed_timers_fire_for_the_last_start() {
        let pushed = after(ready(), &[soon(), far()]);
        let waits = |model: &Model, events: &[Event]| {
            let seen = with_events(0, events);
            model.clone().check(&Op::Wait, &seen).is_ok()
        };
        assert!(pushed.due().is_empty());
        assert!(waits(&pushed, &[]));
        assert!(!waits(&pushed, &[fired(SLOT, FIRST)]));
        allows(&pushed, &direct(Act::CancelAsync), &[1]);
        allows(&pushed, &deferred(Act::Cancel), &[1]);
        let again = after(ready(), &[soon(), soon(), soon()]);
        assert!(!waits(&again, &[]));
        assert!(waits(&again, &[fired(SLOT, FIRST)]));
        assert!(!waits(&again, &[fired(SLOT, FIRST); 2]));
    }

    #[test]
    fn pushed_timers_stay_on_their_cpu() {
        let elsewhere = Event {
            cpu: 0,
            ..fired(SLOT, FIRST)
        };
        let pinned = direct(start(When::Relative(0), true));
        let waits = |implementation, ops: &[Op]| {
            let model = after(ready_on(implementation, 1), ops);
            let seen = with_events(0, &[elsewhere]);
            model.clone().check(&Op::Wait, &seen).is_ok()
        };
        // The hrtimer of the first start may expire on its CPU at the time of the last start.
        assert!(waits(Rust, &[soon(), far(), pinned]));
        assert!(!waits(C, &[soon(), far(), pinned]));
        assert!(!waits(Rust, &[far(), pinned]));
        assert!(waits(Rust, &[pinned, soon()]));
        // A cancellation in between prevents that.
        let mut model = after(ready(), &[soon(), far()]);
        model.check(&direct(Act::CancelAsync), &ret(1)).unwrap();
        let mut model = after(model, &[pinned]);
        assert!(model
            .check(&Op::Wait, &with_events(0, &[elsewhere]))
            .is_err());
    }

    #[test]
    fn negative_times_are_far_off_but_in_c() {
        let op = direct(start(When::Absolute(u64::MAX), false));
        let waits = |implementation, events: &[Event]| {
            let model = after(ready_on(implementation, 1), &[op]);
            let seen = with_events(0, events);
            model.clone().check(&Op::Wait, &seen).is_ok()
        };
        let event = fired(SLOT, FIRST);
        assert!(waits(Rust, &[]) && !waits(Rust, &[event]));
        assert!(waits(C, &[]) && waits(C, &[event]));
    }

    #[test]
    fn far_timers_do_not_fire() {
        let mut model = after(ready(), &[far()]);
        assert!(model
            .check(&Op::Wait, &with_events(0, &[fired(SLOT, FIRST)]))
            .is_err());
    }

    #[test]
    fn due_timers_fire_once_with_their_callback() {
        let model = after(ready(), &[soon()]);
        let wait = |events: &[Event]| model.clone().check(&Op::Wait, &with_events(0, events));
        assert_eq!(model.due(), [SLOT]);
        assert!(wait(&[]).is_err());
        assert!(wait(&[fired(SLOT, FIRST)]).is_ok());
        assert!(wait(&[fired(SLOT, FIRST), fired(SLOT, FIRST)]).is_err());
        assert!(wait(&[fired(SLOT, Callback(1))]).is_err());
        assert!(wait(&[fired(OTHER, FIRST)]).is_err());
    }

    #[test]
    fn pinned_timers_fire_on_their_cpu() {
        let model = after(ready(), &[direct(start(When::Relative(0), true))]);
        let elsewhere = Event {
            cpu: 0,
            ..fired(SLOT, FIRST)
        };
        assert!(model
            .clone()
            .check(&Op::Wait, &with_events(0, &[elsewhere]))
            .is_err());
        assert!(model
            .clone()
            .check(&Op::Wait, &with_events(0, &[fired(SLOT, FIRST)]))
            .is_ok());
    }

    #[test]
    fn timers_fire_once_though_their_cpu_goes() {
        let gone = |cpu| Op::Cpu { cpu, online: false };
        let due = after(ready(), &[direct(start(When::Relative(0), true))]);
        let before = fired(SLOT, FIRST);
        let elsewhere = Event { cpu: 0, ..before };
        let waits = |model: &Model, events: &[Event]| {
            let seen = with_events(0, events);
            model.clone().check(&Op::Wait, &seen).is_ok()
        };

        let model = after(due.clone(), &[gone(1)]);
        assert_eq!(model.due(), [SLOT]);
        assert!(!waits(&model, &[]));
        assert!(waits(&model, &[elsewhere]));
        assert!(!waits(&model, &[elsewhere, elsewhere]));
        assert!(!waits(&after(due.clone(), &[gone(2)]), &[elsewhere]));
        let online = Op::Cpu {
            cpu: 1,
            online: true,
        };
        assert!(waits(&after(model, &[online]), &[before]));

        for event in [before, elsewhere] {
            let mut model = due.clone();
            model.check(&gone(1), &with_events(0, &[event])).unwrap();
            assert!(waits(&model, &[]));
            assert!(!waits(&model, &[event]));
        }
        let far = after(ready(), &[far(), gone(1)]);
        assert!(!waits(&far, &[elsewhere]));
        allows(&far, &direct(Act::Cancel), &[1]);
    }

    #[test]
    fn nothing_fires_after_cancel_and_delete() {
        let delete = Op::Element {
            slot: SLOT,
            act: ElementAct::Delete,
            context: None,
        };
        for (op, result) in [(direct(Act::Cancel), 1), (delete, 0)] {
            let mut model = after(ready(), &[soon()]);
            model.check(&op, &ret(result)).unwrap();
            let late = with_events(0, &[fired(SLOT, FIRST)]);
            assert!(model.check(&Op::Wait, &late).is_err(), "{op}");
        }
    }

    #[test]
    fn due_timers_may_fire_before_or_not() {
        let model = after(ready(), &[soon()]);
        let event = [fired(SLOT, FIRST)];
        let check = |act, seen: &Seen| model.clone().check(&direct(act), seen).is_ok();
        assert!(check(Act::Cancel, &ret(1)));
        // The callback does not begin later.
        assert!(!check(Act::Cancel, &ret(0)));
        let in_c = after(ready_on(C, 1), &[soon()]);
        assert!(in_c.clone().check(&direct(Act::Cancel), &ret(0)).is_ok());
        assert!(check(Act::Cancel, &with_events(0, &event)));
        assert!(!check(Act::Cancel, &with_events(1, &event)));
        assert!(check(Act::CancelAsync, &ret(1)));
        assert!(check(Act::CancelAsync, &with_events(-1, &event)));
        assert!(check(Act::CancelAsync, &with_events(0, &event)));
        assert!(!check(Act::CancelAsync, &ret(-1)));
        assert!(!check(Act::CancelAsync, &ret(0)));
    }

    #[test]
    fn restarted_timers_fire_once_or_twice() {
        let mut model = after(ready(), &[soon()]);
        let event = fired(SLOT, FIRST);
        model.check(&soon(), &with_events(0, &[event])).unwrap();
        assert!(model.due().is_empty());
        assert_eq!(model.unsettled(), [SLOT]);
        let wait = |events: &[Event]| model.clone().check(&Op::Wait, &with_events(0, events));
        assert!(wait(&[]).is_ok());
        assert!(wait(&[event]).is_ok());
        assert!(wait(&[event, event]).is_err());
    }

    #[test]
    fn what_was_restarted_for_later_is_armed() {
        let mut model = after(ready(), &[soon()]);
        model
            .check(&far(), &with_events(0, &[fired(SLOT, FIRST)]))
            .unwrap();
        allows(&model, &direct(Act::CancelAsync), &[1]);
    }

    fn behave(action: Action) -> Op {
        Op::Behave {
            slot: SLOT,
            action,
            left: 1,
        }
    }

    fn did(action: u32, result: i64) -> Event {
        Event {
            action,
            ret: result,
            ..fired(SLOT, FIRST)
        }
    }

    #[test]
    fn callbacks_cannot_cancel_themselves() {
        let model = after(ready(), &[behave(Action::CancelSelf)]);
        assert_eq!(model.firings(&soon()), 1);
        let check = |result| {
            let seen = with_events(0, &[did(2, result)]);
            model.clone().check(&soon(), &seen).is_ok()
        };
        assert!(check(-EDEADLK));
        assert!(!check(0));
        assert!(model.clone().check(&soon(), &ret(0)).is_err());
    }

    #[test]
    fn callbacks_start_others() {
        let mut model = ready();
        let on_other = |act| in_context(OTHER, act, Prog::Tc, false);
        model
            .check(&on_other(Act::Init { flags: 0 }), &ret(0))
            .unwrap();
        model
            .check(&on_other(Act::SetCallback { second: true }), &ret(0))
            .unwrap();
        let action = Action::StartOther {
            other: OTHER,
            soon: true,
        };
        let model = after(model, &[behave(action)]);
        let second = fired(OTHER, Callback(5));
        assert_eq!(model.firings(&soon()), 2);
        let check = |events: &[Event]| {
            model
                .clone()
                .check(&soon(), &with_events(0, events))
                .is_ok()
        };
        assert!(check(&[did(7, 0), second]));
        assert!(check(&[second, did(7, 0)]));
        assert!(!check(&[did(7, 0)]));
        assert!(!check(&[did(7, 0), second, second]));
        assert!(!check(&[did(7, -EINVAL), second]));
    }

    #[test]
    fn callbacks_hold_their_program() {
        let mut model = Model::new(Rust);
        let on_slot = |act, prog| in_context(SLOT, act, prog, false);
        model.check(&update(Update::Any), &ret(0)).unwrap();
        model
            .check(&on_slot(Act::Init { flags: 1 }, Prog::Tc), &ret(0))
            .unwrap();
        assert_eq!(model.is_held(Prog::Tc), Some(false));
        let set = on_slot(Act::SetCallback { second: true }, Prog::Tc);
        model.check(&set, &ret(0)).unwrap();
        assert_eq!(model.is_held(Prog::Tc), Some(true));
        let mut seen = ret(0);
        seen.loaded = vec![(Prog::Tc, false)];
        assert!(model.clone().check(&Op::Wait, &seen).is_err());
        model
            .check(&on_slot(Act::Cancel, Prog::SyscallA), &ret(0))
            .unwrap();
        assert!(model.clone().check(&Op::Wait, &seen).is_ok());
        seen.loaded = vec![(Prog::Tc, true)];
        assert!(model.clone().check(&Op::Wait, &seen).is_err());
    }

    #[test]
    fn h3_a_time_of_day_comes_but_in_c() {
        let op = direct(start(When::Later(0), false));
        let fires = |implementation| {
            let model = after(ready_on(implementation, 0), &[op]);
            model
                .clone()
                .check(&Op::Wait, &with_events(0, &[fired(SLOT, FIRST)]))
                .is_ok()
        };
        assert!(fires(Rust));
        assert!(!fires(C));
    }

    #[test]
    fn h4_the_newest_wins_but_in_c() {
        let op = Op::Overtake {
            slot: SLOT,
            first: start(When::Relative(HOUR), false),
            second: Act::CancelAsync,
        };
        let undone = Seen {
            second: 0,
            ..Seen::default()
        };
        let right = Seen {
            second: 1,
            ..Seen::default()
        };
        assert!(ready().check(&op, &right).is_ok());
        assert!(ready().check(&op, &undone).is_err());
        // The cancellation comes before the start, which then has no callback.
        let op2 = Op::Overtake {
            slot: SLOT,
            first: Act::Cancel,
            second: start(When::Relative(HOUR), false),
        };
        for (second, right) in [(0, false), (-EINVAL, true)] {
            let seen = Seen {
                second,
                ..Seen::default()
            };
            assert_eq!(ready().check(&op2, &seen).is_ok(), right);
        }
        let mut model = ready_on(C, 1);
        model.check(&op, &undone).unwrap();
        allows(&model, &direct(Act::Cancel), &[1]);
    }

    #[test]
    fn h5_memory_is_not_needed_but_in_c() {
        let op = deferred(start(When::Relative(HOUR), false));
        allows(&ready(), &op, &[0]);
        allows(&ready_on(C, 1), &op, &[0, -ENOMEM]);
    }

    #[test]
    fn h7_no_timer_in_a_deleted_element_but_in_c() {
        let op = Op::InitDeleted { slot: SLOT };
        let refused = Seen {
            second: -ENOENT,
            ..Seen::default()
        };
        assert!(ready().check(&op, &refused).is_ok());
        assert!(ready().check(&op, &ret(0)).is_err());
        let mut model = ready_on(C, 1);
        model.check(&op, &ret(0)).unwrap();
        assert!(model.over);
    }

    #[test]
    fn h9_locked_updates_cancel_but_in_c() {
        let init = direct(Act::Init { flags: 1 });
        let updated = after(after(ready(), &[far()]), &[update(Update::Lock)]);
        allows(&updated, &init, &[0, -ENOMEM]);
        let updated = after(after(ready_on(C, 1), &[far()]), &[update(Update::Lock)]);
        allows(&updated, &init, &[-EBUSY]);
    }

    #[test]
    fn batches_stop_at_what_is_not_there() {
        let op = Op::DeleteBatch {
            map: Map::Hash,
            keys: [0, 1],
        };
        let mut model = after(ready(), &[far()]);
        assert!(model.clone().check(&op, &ret(0)).is_err());
        model.check(&op, &ret(-ENOENT)).unwrap();
        allows(&model, &far(), &[NO_ELEMENT]);
    }
}
