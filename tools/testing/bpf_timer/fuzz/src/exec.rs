// SPDX-License-Identifier: GPL-2.0

//! Does a sequence of operations, one at a time. The model checks each.

use crate::cpus::{move_to, Cpus};
use crate::model::{Event, Implementation, Kernel, Model, Seen, EBUSY, EINVAL, ENOMEM, EPERM};
use crate::ops::{Act, Context, ElementAct, Map, Op, Prog, SlotId, PROGS};
use crate::session::{fuzz_orphan, within, Ids, Role, Session};
use crate::sys;
use anyhow::{anyhow, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

/// The machine that runs the cases, and how it runs them.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    pub cpus: &'a Cpus,
    pub kernel: Kernel,
    /// How long to wait for something that must happen.
    pub patience: Duration,
    pub verbose: bool,
}

/// Counts of what a case has done.
#[derive(Default)]
pub struct Tally {
    pub ops: u64,
    pub firings: u64,
    /// How often a program still ran when its map had lost its last user.
    pub orphans: u64,
}

/// Something that the model does not allow.
pub struct Difference {
    /// The index of the operation; `None` if it was at the end.
    pub at: Option<usize>,
    pub what: String,
}

struct Case<'a> {
    host: &'a Host<'a>,
    session: Session,
    model: Model,
    taken: Vec<bool>,
    ids: Ids,
    /// How often each program ran, and how often its callbacks.
    runs: [u64; PROGS.len()],
    firings: [u64; PROGS.len()],
    /// The firings that began while the callback may have been changed.
    unsure: [u64; PROGS.len()],
}

/// Runs a case to its end or the first difference. All CPUs are online then.
pub fn run(
    host: &Host<'_>,
    ops: &[Op],
    orphan: bool,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let result = run_case(host, ops, orphan, tally);
    host.cpus.back_after(result)
}

/// The same, but CPUs may be offline at the end. Programs and maps must go even then.
fn run_case(
    host: &Host<'_>,
    ops: &[Op],
    orphan: bool,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let session = Session::load()?;
    let mut case = Case {
        host,
        ids: session.ids()?,
        session,
        model: Model::new(host.kernel),
        taken: Vec::new(),
        runs: [0; PROGS.len()],
        firings: [0; PROGS.len()],
        unsure: [0; PROGS.len()],
    };
    let mut difference = case.run_all(ops, tally)?;

    tally.firings += case.firings.iter().sum::<u64>();
    if difference.is_none() && !case.model.over {
        difference = case.check_run_counts()?.map(at_the_end);
    }
    let Case {
        session,
        ids,
        model,
        ..
    } = case;
    let what = close(host, session, orphan, tally)?;
    if difference.is_some() || model.over {
        return Ok(difference);
    }
    let what = what.or_else(|| ids.wait_until_gone(host.patience).err());
    Ok(what.map(at_the_end))
}

fn at_the_end(what: String) -> Difference {
    Difference { at: None, what }
}

impl Case<'_> {
    fn run_all(&mut self, ops: &[Op], tally: &mut Tally) -> Result<Option<Difference>> {
        let last = [Op::Wait];
        for (at, op) in ops.iter().chain(&last).enumerate() {
            if self.session.shared.is_full() {
                break;
            }
            tally.ops += 1;
            if let Err(what) = self.run_one(op)? {
                let at = (at < ops.len()).then_some(at);
                return Ok(Some(Difference { at, what }));
            }
            if self.model.over {
                break;
            }
        }
        Ok(None)
    }

    fn run_one(&mut self, op: &Op) -> Result<Result<(), String>> {
        if !self.can(op) || self.model.is_hopeless(op) {
            return Ok(Ok(()));
        }
        // A sequence that was shortened may use a CPU that is offline.
        if let Some(cpu) = op.cpu().filter(|&cpu| !self.host.cpus.is_online(cpu)) {
            if let Err(what) = self.run_and_check(&Op::Cpu { cpu, online: true })? {
                return Ok(Err(format!("before it: {what}")));
            }
        }
        if self.model.wants_calm(op) {
            if let Err(what) = self.calm()? {
                return Ok(Err(format!("before it: {what}")));
            }
        }
        self.run_and_check(op)
    }

    /// Whether `op` is possible: a shortened sequence may use a closed program.
    fn can(&self, op: &Op) -> bool {
        match *op {
            Op::Timer { context, .. }
            | Op::Element {
                context: Some(context),
                ..
            } => self.session.is_open(context.prog),
            Op::Overtake { .. } => self.host.cpus.count > 1,
            _ => true,
        }
    }

    /// Waits for all timers that are due, and cancels those that may or may not be.
    fn calm(&mut self) -> Result<Result<(), String>> {
        if let Err(what) = self.run_and_check(&Op::Wait)? {
            return Ok(Err(what));
        }
        for slot in self.model.unsettled() {
            let cancel = Op::Timer {
                slot,
                act: Act::Cancel,
                context: Context {
                    prog: Prog::SyscallA,
                    cpu: 0,
                    irqs_off: false,
                },
            };
            if let Err(what) = self.run_and_check(&cancel)? {
                return Ok(Err(what));
            }
        }
        Ok(Ok(()))
    }

    fn run_and_check(&mut self, op: &Op) -> Result<Result<(), String>> {
        if self.host.verbose {
            println!("  {op}");
        }
        let firings = self.model.firings(op);
        let mut seen = self.perform(op)?;

        if seen.ret == 0 && firings > 0 {
            let shared = &self.session.shared;
            let (events, taken) = (&mut seen.events, &mut self.taken);
            within(self.host.patience, || {
                events.extend(shared.events(taken));
                events.len() >= firings
            });
        }
        self.collect(&mut seen.events)?;
        for event in &seen.events {
            let prog = event.callback.0 as usize / 2;
            self.firings[prog] += 1;
            self.unsure[prog] += u64::from(op.changes_callbacks());
        }
        if self.host.kernel.implementation == Implementation::Rust {
            if let Some(what) = self.session.shared.undone() {
                return Ok(Err(what.into()));
            }
        }
        Ok(self.model.check(op, &seen))
    }

    /// Adds the callbacks that have run, and waits until they have ended.
    fn collect(&mut self, events: &mut Vec<Event>) -> Result<()> {
        self.host.cpus.let_callbacks_end()?;
        let new = self.session.shared.events(&mut self.taken);
        if !new.is_empty() {
            // A callback that has logged its run may not have returned.
            self.host.cpus.let_callbacks_end()?;
        }
        events.extend(new);
        Ok(())
    }

    fn perform(&mut self, op: &Op) -> Result<Seen> {
        let mut seen = Seen::default();
        match *op {
            Op::Timer { slot, act, context } => seen.ret = self.act(slot, act, context)?,
            Op::Element { slot, act, context } => seen.ret = self.element(slot, act, context)?,
            Op::DeleteBatch { map, keys } => seen.ret = self.session.delete_batch(map, &keys),
            Op::Behave { slot, action, left } => self.session.shared.behave(slot, action, left),
            Op::Wait => self.wait(&mut seen)?,
            Op::ReplaceInner => self.ids.add_map(self.session.replace_inner()?),
            Op::FloodLru => self.flood(&mut seen),
            Op::Overtake {
                slot,
                first,
                second,
            } => (seen.ret, seen.second) = self.overtake(slot, first, second)?,
            Op::InitDeleted { slot } => {
                (seen.ret, seen.second) = self.session.init_deleted(slot)?;
            }
            Op::Unload { prog } => self.session.unload(prog),
            Op::Cpu { cpu, online } => {
                move_to(0)?;
                self.host.cpus.switch(cpu, online)?;
            }
        }
        Ok(seen)
    }

    fn count(&mut self, prog: Prog) {
        self.runs[prog as usize] += 1;
    }

    fn act(&mut self, slot: SlotId, act: Act, context: Context) -> Result<i64> {
        move_to(context.cpu)?;
        self.count(context.prog);
        let clock = self.model.clock(slot);
        self.session.act(slot, act, clock, context, Role::Alone)
    }

    fn element(&mut self, slot: SlotId, act: ElementAct, context: Option<Context>) -> Result<i64> {
        let session = &self.session;
        let Some(context) = context else {
            return Ok(match act {
                ElementAct::Delete => session.delete(slot),
                ElementAct::Update(update, data) => session.update(slot, data, update.flags()),
                ElementAct::Lookup => session.lookup(slot),
                ElementAct::LookupAndDelete => session.lookup_and_delete(slot),
            });
        };
        move_to(context.cpu)?;
        let ret = match act {
            ElementAct::Update(update, data) => {
                session.update_in(slot, data, update.flags(), context)?
            }
            _ => session.delete_in(slot, context)?,
        };
        self.count(context.prog);
        Ok(ret)
    }

    /// Waits for timers that must fire, and for closed programs that must be gone.
    fn wait(&mut self, seen: &mut Seen) -> Result<()> {
        let mut missing = self.model.due();
        let (shared, taken) = (&self.session.shared, &mut self.taken);
        within(self.host.patience, || {
            for event in shared.events(taken) {
                missing.retain(|slot| *slot != event.slot);
                seen.events.push(event);
            }
            missing.is_empty()
        });
        for prog in self.session.closed() {
            if self.model.is_held(prog) == Some(false) {
                within(self.host.patience, || !self.session.is_loaded(prog));
            }
            seen.loaded.push((prog, self.session.is_loaded(prog)));
        }
        Ok(())
    }

    fn flood(&self, seen: &mut Seen) {
        for key in 1000..1600 {
            self.session.update_key(Map::Lru, key, 0, 0);
        }
        seen.kept = SlotId::of(Map::Lru)
            .filter(|&slot| self.session.lookup(slot) >= 0)
            .collect();
    }

    /// Does `first` with interrupts off on CPU 0, and `second` on CPU 1 before
    /// interrupts are on again.
    fn overtake(&mut self, slot: SlotId, first: Act, second: Act) -> Result<(i64, i64)> {
        let context = |cpu| Context {
            prog: Prog::SyscallA,
            cpu,
            irqs_off: cpu == 0,
        };
        let clock = self.model.clock(slot);
        let session = &self.session;
        session.shared.reset_stage();
        let act = |act, cpu, role| {
            move_to(cpu)?;
            session.act(slot, act, clock, context(cpu), role)
        };
        let (first, second) = thread::scope(|scope| {
            let overtaker = scope.spawn(|| act(second, 1, Role::Overtakes));
            let first = act(first, 0, Role::Overtaken);
            (first, overtaker.join())
        });
        self.count(Prog::SyscallA);
        self.count(Prog::SyscallA);
        let second = second.map_err(|_| anyhow!("the thread has panicked"))?;
        Ok((first?, second?))
    }

    /// Compares the kernel's run counts with what has run, except for programs that
    /// interrupt: they also count runs in which they do nothing.
    ///
    /// A callback counts for the program whose callback is set as it begins. Another
    /// CPU may just have changed that. If the callback was dropped, it counts for no
    /// program.
    fn check_run_counts(&self) -> Result<Option<String>> {
        let unsure: u64 = self.unsure.iter().sum();
        for prog in PROGS.into_iter().filter(|prog| !prog.interrupts()) {
            let at = prog as usize;
            let (fewest, most) = match self.host.kernel.implementation {
                Implementation::Rust => {
                    let all = self.runs[at] + self.firings[at];
                    (all - self.unsure[at], all + unsure - self.unsure[at])
                }
                // H8
                Implementation::C => (self.runs[at], self.runs[at]),
            };
            match self.session.run_count(prog)? {
                Some(count) if !(fewest..=most).contains(&count) => {
                    return Ok(Some(format!(
                        "{prog:?} has run {count} times, expected {fewest} to {most}: \
                         it was called {} times, and its callbacks {} times",
                        self.runs[at], self.firings[at]
                    )))
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Closes everything, while a program runs if `orphan`. Returns what was wrong with the
/// results of that program.
fn close(
    host: &Host<'_>,
    session: Session,
    orphan: bool,
    tally: &mut Tally,
) -> Result<Option<String>> {
    if !orphan || host.cpus.count < 2 {
        return Ok(None);
    }
    host.cpus.bring_back()?;
    let prog = session.orphan()?;
    session.shared.reset_stage();
    move_to(0)?;
    let runs = thread::spawn(move || run_orphan(&prog));
    within(host.patience, || session.shared.stage() == 1);
    drop(session);
    let args = runs
        .join()
        .map_err(|_| anyhow!("the thread has panicked"))??;
    // The program may have been too fast, or may have had no memory.
    if args.gone == 0 || args.prepared != 0 {
        return Ok(None);
    }
    tally.orphans += 1;
    Ok(check_orphan(host.kernel.implementation, &args))
}

fn run_orphan(prog: &OwnedFd) -> Result<fuzz_orphan> {
    let mut args = fuzz_orphan::default();
    move_to(1)?;
    match sys::run(prog.as_fd(), &mut args) {
        0 => Ok(args),
        err => Err(anyhow!("the program cannot be run: error {err}")),
    }
}

fn check_orphan(implementation: Implementation, args: &fuzz_orphan) -> Option<String> {
    // H6: in C, set_callback succeeds.
    let succeeds = implementation == Implementation::C && args.set_callback == 0;
    if !succeeds && ![-EPERM, -EINVAL].contains(&args.set_callback) {
        return Some(format!(
            "without a user of the map, set_callback returned {}",
            args.set_callback
        ));
    }
    if ![-EPERM, -EBUSY, -ENOMEM].contains(&args.init) {
        return Some(format!(
            "without a user of the map, init returned {}",
            args.init
        ));
    }
    None
}
