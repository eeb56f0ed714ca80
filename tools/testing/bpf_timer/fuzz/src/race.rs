// SPDX-License-Identifier: GPL-2.0

//! Operations on the same timers from several threads at once. No result is predicted,
//! but each must be one that the operation can have at all.

use crate::cpus::move_to;
use crate::exec::{Difference, Host, Tally};
use crate::model::{
    Implementation, Kernel, EBUSY, ECANCELED, EDEADLK, EEXIST, EINVAL, ENOENT, ENOMEM, EOPNOTSUPP,
    EPERM, NO_ELEMENT,
};
use crate::ops::{
    Act, Action, Context, ElementAct, Generator, Prog, SlotId, Update, When, CLOCKS, MAPS,
    MAX_LEFT, PROGS, SLOTS, SOON,
};
use crate::session::{
    within, Counts, CpuIsGone, Role, Session, SEEN_ECANCELED, SEEN_EOPNOTSUPP, SEEN_ETIMEDOUT,
    SEEN_MORE, SEEN_NO_ELEMENT, SEEN_ONE, SEEN_TIMER,
};
use crate::sys;
use anyhow::{anyhow, Context as _, Result};
use fastrand::Rng;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

const E2BIG: i64 = 7;
const ETIMEDOUT: i64 = 110;
/// On PREEMPT_RT, threads have real-time priorities: below, as and above that of interrupt threads.
/// All are above that of the threads that expire timers.
const PRIORITIES: [i32; 3] = [10, 50, 90];
/// Errors because a lock was not free in time, or elements are not free again yet.
const BUSY: [i64; 5] = [EBUSY, EDEADLK, ETIMEDOUT, ENOMEM, E2BIG];

struct Race<'a> {
    host: &'a Host<'a>,
    session: &'a Session,
    slots: Vec<SlotId>,
    /// No start is for far off, so that no timer is armed after they had time to fire.
    soon: bool,
    /// Elements stay as they are, so that a cancellation finds the started timer.
    stable: bool,
    /// Both CPUs start one timer, and set and drop its callback, all the time.
    quarrel: bool,
    runs: [AtomicU64; PROGS.len()],
    stop: AtomicBool,
    difference: Mutex<Option<String>>,
}

/// Runs a case of `count` operations on each CPU, and operations of user space beside
/// them. All CPUs are online at the end.
pub fn run(
    host: &Host<'_>,
    seed: u64,
    count: usize,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let result = run_case(host, seed, count, tally);
    host.cpus.back_after(result)
}

/// The same, but CPUs may be offline at the end.
fn run_case(
    host: &Host<'_>,
    seed: u64,
    count: usize,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let session = Session::load()?;
    let ids = session.ids()?;
    let mut rng = Rng::with_seed(seed);
    let mut slots: Vec<SlotId> = (0..SLOTS).map(SlotId).collect();
    rng.shuffle(&mut slots);
    slots.truncate(rng.usize(2..=4));

    let (soon, stable) = (rng.u32(..4) == 0, rng.u32(..3) == 0);
    let race = Race {
        host,
        session: &session,
        slots,
        soon,
        stable,
        // Its starts are for a time that never comes.
        quarrel: stable && !soon && rng.bool(),
        runs: Default::default(),
        stop: AtomicBool::new(false),
        difference: Mutex::new(None),
    };
    session.shared.start_counting();
    race.run(seed, count, tally)?;
    let mut what = race
        .difference
        .into_inner()
        .map_err(|_| anyhow!("panicked"))?;
    let runs = race.runs.map(AtomicU64::into_inner);

    what = match what {
        None => check_end(host, &session, soon, runs, tally)?,
        what => what,
    };
    if stable && host.kernel.implementation == Implementation::Rust {
        what = what.or(session.shared.undone().map(str::to_owned));
    }
    session.empty();
    drop(session);
    let what = what.or_else(|| ids.wait_until_gone(host.patience).err());
    Ok(what.map(|what| Difference { at: None, what }))
}

impl Race<'_> {
    fn run(&self, seed: u64, count: usize, tally: &mut Tally) -> Result<()> {
        let cpus = self.host.cpus.count.min(2);
        thread::scope(|scope| {
            let on_cpu = (0..cpus)
                .map(|cpu| scope.spawn(move || self.finish(self.on_cpu(seed, cpu, count))));
            let threads: Vec<_> = on_cpu.collect();
            let user = scope.spawn(|| self.finish(self.in_user_space(seed)));
            let hotplug = scope.spawn(|| self.finish(self.hotplug(seed)));
            let mut results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            self.stop.store(true, Relaxed);
            results.extend([user.join(), hotplug.join()]);
            results.into_iter().try_for_each(|result| {
                tally.ops += result.map_err(|_| anyhow!("a thread has panicked"))??;
                Ok(())
            })
        })
    }

    /// Ends the other threads, if this one has failed.
    fn finish(&self, result: Result<u64>) -> Result<u64> {
        if result.is_err() {
            self.stop.store(true, Relaxed);
        }
        result
    }

    fn differ(&self, what: String) {
        self.stop.store(true, Relaxed);
        if let Ok(mut difference) = self.difference.lock() {
            difference.get_or_insert(what);
        }
    }

    fn slot(&self, rng: &mut Rng) -> SlotId {
        self.slots[rng.usize(..self.slots.len())]
    }

    /// In two cases of three, takes CPUs offline and brings them back until the other
    /// threads have done their operations. These steps do not count as operations.
    fn hotplug(&self, seed: u64) -> Result<u64> {
        let cpus = self.host.cpus;
        let mut rng = Rng::with_seed(seed.rotate_left(32));

        if !cpus.can_go() || rng.u32(..3) == 0 {
            return Ok(0);
        }
        move_to(0)?;
        let pause = |rng: &mut Rng| Duration::from_millis(rng.u64(20..=400));
        while !within(pause(&mut rng), || self.stop.load(Relaxed)) {
            let cpu = rng.u32(1..cpus.count);
            cpus.switch(cpu, !cpus.is_online(cpu))?;
        }
        Ok(0)
    }

    /// Moves a thread to its CPU. CPU 0 belongs to the first thread. If CPU 1 is
    /// offline, the second thread moves to the next CPU that is online. If there is
    /// none, it shares CPU 0 for now, and this returns `None`.
    fn place(&self, home: u32) -> Result<Option<u32>> {
        if home == 0 || !self.host.cpus.can_go() {
            move_to(home)?;
            return Ok(Some(home));
        }
        Ok((home..self.host.cpus.count).find(|&cpu| move_to(cpu).is_ok()))
    }

    /// Gives a thread its priority, which is another one for each thread and case.
    fn prioritize(&self, seed: u64, thread: u64) -> Result<()> {
        if self.host.kernel.rt {
            let nr = seed.wrapping_add(thread) % PRIORITIES.len() as u64;
            sys::become_fifo(PRIORITIES[nr as usize]).context("no real-time priority")?;
        }
        Ok(())
    }

    /// Does operations of programs.
    fn on_cpu(&self, seed: u64, home: u32, count: usize) -> Result<u64> {
        self.prioritize(seed, home.into())?;
        let mut generator =
            Generator::new(seed.wrapping_add(u64::from(home)), self.host.cpus.count);
        let mut rng = Rng::with_seed(seed ^ u64::from(home + 1));

        for done in 0..count {
            if self.stop.load(Relaxed) {
                return Ok(done as u64);
            }
            let slot = self.slot(&mut rng);
            let mut context = generator.context();
            let cpu = self.place(home)?;
            context.cpu = cpu.unwrap_or(home);
            if cpu.is_none() && context.prog.interrupts() {
                // An interrupt needs its CPU.
                context.prog = Prog::SyscallA;
            }
            if self.quarrel && done > 10 {
                self.act(self.slots[0], quarrel(&mut rng), context)?;
                continue;
            }
            match rng.u32(..20) {
                0 if !context.prog.interrupts() && !self.stable => {
                    let act = in_program(generator.element_act(slot.map()));
                    self.element(slot, act, context)?;
                }
                1..=4 => self.arm(slot, context)?,
                5..=7 => self.push(slot, &mut rng, context)?,
                _ => {
                    let act = match generator.act() {
                        Act::Start { .. } if self.soon => generator.start_soon(),
                        act => act,
                    };
                    self.act(slot, act, context)?;
                }
            }
        }
        Ok(count as u64)
    }

    /// Arms a timer, because other operations need one that is armed.
    fn arm(&self, slot: SlotId, context: Context) -> Result<()> {
        let when = When::Relative(u64::from(slot.key()) * 100_000);
        let acts = [
            Act::Init {
                flags: CLOCKS[slot.0 % 3],
            },
            Act::SetCallback { second: true },
            Act::Start {
                when,
                pin: context.irqs_off,
                bad: false,
            },
        ];
        if !slot.map().is_array() {
            self.session.update(slot, 0, Update::NoExist.flags());
        }
        acts.into_iter()
            .try_for_each(|act| self.act(slot, act, context))
    }

    /// Starts a timer for later and later. It fires only if nothing starts it for a
    /// while.
    fn push(&self, slot: SlotId, rng: &mut Rng, context: Context) -> Result<()> {
        for nsecs in (1..=rng.u64(2..=6)).map(|i| i * 50_000) {
            let start = Act::Start {
                when: When::Relative(nsecs),
                pin: false,
                bad: false,
            };
            self.act(slot, start, context)?;
        }
        Ok(())
    }

    fn act(&self, slot: SlotId, act: Act, context: Context) -> Result<()> {
        self.runs[context.prog as usize].fetch_add(1, Relaxed);
        let ret = match self.session.act(slot, act, 1, context, Role::Alone) {
            Err(err) if err.is::<CpuIsGone>() => return Ok(()),
            ret => ret?,
        };
        if !may_return(self.host.kernel, act, context, ret) {
            self.differ(format!("{slot}: {act} {context} returned {ret}"));
        }
        Ok(())
    }

    fn element(&self, slot: SlotId, act: ElementAct, context: Context) -> Result<()> {
        let ret = match act {
            ElementAct::Update(update, data) => {
                self.session
                    .update_in(slot, data, update.flags(), context)?
            }
            _ => self.session.delete_in(slot, context)?,
        };
        self.runs[context.prog as usize].fetch_add(1, Relaxed);
        self.check_element(slot, act, ret);
        Ok(())
    }

    fn check_element(&self, slot: SlotId, act: ElementAct, ret: i64) {
        let busy = BUSY.contains(&-ret);
        let may = match act {
            ElementAct::Lookup | ElementAct::LookupAndDelete => ret >= 0 || ret == -ENOENT,
            ElementAct::Update(Update::NoExist, _) => [0, -EEXIST].contains(&ret),
            ElementAct::Update(Update::Exist, _) => [0, -ENOENT].contains(&ret),
            ElementAct::Update(..) => [0, -EINVAL].contains(&ret),
            ElementAct::Delete => [0, -ENOENT, -EINVAL].contains(&ret),
        };
        if !may && !busy || ret == SEEN_TIMER {
            self.differ(format!("{slot}: {act:?} returned {ret}"));
        }
    }

    /// Does operations of user space, and sets what callbacks do, until the other
    /// threads have done their operations.
    fn in_user_space(&self, seed: u64) -> Result<u64> {
        self.prioritize(seed, 2)?;
        let mut generator = Generator::new(!seed, self.host.cpus.count);
        let mut rng = Rng::with_seed(!seed);
        let mut done = 0;

        while !self.stop.load(Relaxed) {
            let slot = self.slot(&mut rng);
            let act = match generator.element_act(slot.map()) {
                _ if self.stable => ElementAct::Lookup,
                act => act,
            };
            let session = self.session;
            let ret = match act {
                ElementAct::Delete => session.delete(slot),
                ElementAct::Update(update, data) => session.update(slot, data, update.flags()),
                ElementAct::Lookup => session.lookup(slot),
                ElementAct::LookupAndDelete => session.lookup_and_delete(slot),
            };
            self.check_element(slot, act, ret);
            let action = match Action::random(&mut rng) {
                action if self.stable && action.changes_elements() => Action::CancelSelf,
                Action::Restart { .. } if self.soon => Action::Restart { soon: true },
                Action::StartOther { other, .. } if self.soon => {
                    Action::StartOther { other, soon: true }
                }
                action => action,
            };
            session.shared.behave(slot, action, rng.u32(0..=MAX_LEFT));
            thread::sleep(Duration::from_micros(rng.u64(0..5000)));
            done += 1;
        }
        Ok(done)
    }
}

/// Whether an operation of a program can return `ret` at all.
fn may_return(kernel: Kernel, act: Act, context: Context, ret: i64) -> bool {
    let deferred = context.is_deferred();
    let c = kernel.implementation == Implementation::C;
    let may = match act {
        Act::Init { flags } if !CLOCKS.contains(&flags) => vec![-EINVAL],
        Act::Start { bad: true, .. } => vec![-EINVAL],
        Act::Init { .. } => match kernel.no_init(context.prog) {
            Some(error) => vec![-EBUSY, error],
            None => vec![0, -EBUSY, -ENOMEM, -ENOENT],
        },
        Act::SetCallback { .. } => vec![0, -EINVAL, -ENOENT],
        Act::Start { .. } => vec![0, -EINVAL, -ENOENT],
        Act::Cancel if deferred && c => vec![-EOPNOTSUPP],
        // It may have interrupted the callback.
        Act::Cancel if context.prog == Prog::Hardirq => {
            vec![0, 1, -EINVAL, -EBUSY, -EDEADLK]
        }
        Act::Cancel if !kernel.waits(context) => vec![0, 1, -EINVAL, -EBUSY],
        Act::Cancel => vec![0, 1, -EINVAL],
        Act::CancelAsync if deferred => vec![-ECANCELED, -EINVAL, -ENOENT],
        Act::CancelAsync => vec![0, 1, -1, -EINVAL, -ENOENT],
    };
    // H5
    ret == NO_ELEMENT || may.contains(&ret) || c && deferred && ret == -ENOMEM
}

fn quarrel(rng: &mut Rng) -> Act {
    match rng.u32(..6) {
        0 => Act::SetCallback { second: true },
        1 | 2 => Act::Cancel,
        _ => Act::Start {
            when: When::Relative(u64::MAX),
            pin: false,
            bad: false,
        },
    }
}

/// Replaces operations that only user space can do.
fn in_program(act: ElementAct) -> ElementAct {
    match act {
        ElementAct::Lookup | ElementAct::LookupAndDelete => ElementAct::Delete,
        act => act,
    }
}

/// Checks what must hold after all threads have ended.
fn check_end(
    host: &Host<'_>,
    session: &Session,
    soon: bool,
    mut runs: [u64; PROGS.len()],
    tally: &mut Tally,
) -> Result<Option<String>> {
    let shared = &session.shared;
    shared.stop_actions();
    host.cpus.let_callbacks_end()?;
    if soon {
        let_all_fire(host)?;
    }

    // No timer fires after it is cancelled, because nothing starts it any more.
    move_to(0)?;
    let mut runs_still = false;
    for slot in (0..SLOTS).map(SlotId) {
        let context = Context {
            prog: Prog::SyscallA,
            cpu: 0,
            // C refuses to cancel with interrupts off.
            irqs_off: slot.0 % 2 == 1 && host.kernel.implementation == Implementation::Rust,
        };
        runs[context.prog as usize] += 1;
        let ret = session.act(slot, Act::Cancel, 1, context, Role::Alone)?;
        runs_still |= ret == -EBUSY;
        if soon && ret == 1 {
            return Ok(Some(format!("{slot} is due and did not fire")));
        }
        let busy = ret == -EBUSY && context.irqs_off;
        if ![0, 1, -EINVAL, NO_ELEMENT].contains(&ret) && !busy {
            return Ok(Some(format!("{slot}: the last cancel returned {ret}")));
        }
    }
    if runs_still {
        host.cpus.let_callbacks_end()?;
    }
    let before = MAPS.map(|map| shared.counts(map));
    thread::sleep(Duration::from_millis(5));
    host.cpus.let_callbacks_end()?;
    for (map, before) in MAPS.into_iter().zip(before) {
        let counts = shared.counts(map);
        tally.firings += counts.fired;
        if let Some(what) = check_counts(host.kernel.implementation, before, counts) {
            return Ok(Some(format!("{map:?}: {what}")));
        }
    }
    Ok(check_results(session).or(check_run_counts(host, session, runs)?))
}

/// Waits until all timers have fired. Their CPUs may be away for a while, and the drain
/// may pause.
fn let_all_fire(host: &Host<'_>) -> Result<()> {
    thread::sleep(Duration::from_nanos(SOON));
    for _ in 0..10 {
        host.cpus.let_callbacks_end()?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Returns what is wrong with the counts of a map before and after some time without
/// operations.
///
/// A start leads to one callback at most, or to one cancellation that returns 1. In C,
/// a start may lead to both, because a deferred start is armed late.
fn check_counts(implementation: Implementation, before: Counts, now: Counts) -> Option<String> {
    let Counts {
        started,
        cancelled,
        fired,
    } = now;

    if fired != before.fired {
        let late = fired - before.fired;
        return Some(format!("{late} fired after they were cancelled"));
    }
    let cancelled = match implementation {
        Implementation::Rust => cancelled,
        Implementation::C => 0,
    };
    if fired + cancelled > started {
        return Some(format!(
            "started {started} times, cancelled {cancelled} times, and fired {fired} times"
        ));
    }
    None
}

/// Checks the results of the callbacks' operations.
fn check_results(session: &Session) -> Option<String> {
    let started = vec![0, EINVAL, ENOENT];
    let cancelled = vec![0, EINVAL, EDEADLK];
    let not_waited = vec![0, EPERM, EINVAL, ENOENT];
    let changed = [&[0, ENOENT, EINVAL], &BUSY[..]].concat();
    let may = [
        vec![0],
        started.clone(),
        cancelled.clone(),
        not_waited.clone(),
        vec![0, EBUSY, ENOMEM, ENOENT],
        changed.clone(),
        changed.clone(),
        started,
        cancelled,
        not_waited,
        changed,
    ];
    for (action, may) in may.iter().enumerate() {
        let mut allowed: u64 = may.iter().map(|&errno| 1 << bit(errno)).sum();
        if [2, 3, 8, 9].contains(&action) {
            allowed |= 1 << SEEN_ONE;
        }
        if action >= 7 {
            allowed |= 1 << SEEN_NO_ELEMENT;
        }
        let seen = session.shared.results(action) & !allowed;
        if seen != 0 {
            return Some(format!(
                "action {action} of a callback returned {}",
                bits(seen)
            ));
        }
    }
    None
}

/// The bit that `count_event()` in the programs uses for an error.
fn bit(errno: i64) -> i64 {
    match errno {
        ETIMEDOUT => SEEN_ETIMEDOUT.into(),
        errno => errno,
    }
}

fn bits(seen: u64) -> String {
    let names: Vec<String> = (0..64)
        .filter(|bit| seen & (1 << bit) != 0)
        .map(|bit| match bit {
            SEEN_ONE => "1".into(),
            SEEN_ECANCELED => format!("-{ECANCELED}"),
            SEEN_EOPNOTSUPP => format!("-{EOPNOTSUPP}"),
            SEEN_ETIMEDOUT => format!("-{ETIMEDOUT}"),
            SEEN_NO_ELEMENT => "no element".into(),
            SEEN_MORE => "something else".into(),
            errno => format!("-{errno}"),
        })
        .collect();
    names.join(", ")
}

/// A callback counts for the program whose callback is set as it begins. Another CPU
/// may just have changed that. If the callback was dropped, it counts for no program.
fn check_run_counts(
    host: &Host<'_>,
    session: &Session,
    runs: [u64; PROGS.len()],
) -> Result<Option<String>> {
    let fired: u64 = match host.kernel.implementation {
        Implementation::Rust => PROGS.map(|prog| session.shared.counted(prog)).iter().sum(),
        // H8
        Implementation::C => 0,
    };
    let mut of_callbacks = 0;
    for prog in PROGS.into_iter().filter(|prog| !prog.interrupts()) {
        let (count, runs) = (session.run_count(prog)?.unwrap_or(0), runs[prog as usize]);
        if count < runs {
            return Ok(Some(format!(
                "{prog:?} has run {count} times, expected {runs} at least"
            )));
        }
        of_callbacks += count - runs;
    }
    if of_callbacks > fired {
        return Ok(Some(format!(
            "callbacks have run {fired} times, and count as {of_callbacks}"
        )));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Implementation::{Rust, C};

    #[test]
    fn each_start_is_for_one_outcome() {
        let counts = |started, cancelled, fired| Counts {
            started,
            cancelled,
            fired,
        };
        let is_right = |implementation, now| check_counts(implementation, now, now).is_none();
        assert!(is_right(Rust, counts(3, 1, 2)));
        assert!(is_right(Rust, counts(3, 0, 0)));
        assert!(!is_right(Rust, counts(3, 2, 2)));
        assert!(is_right(C, counts(3, 2, 2)));
        assert!(!is_right(C, counts(3, 0, 4)));
        assert!(check_counts(Rust, counts(3, 1, 1), counts(3, 1, 2)).is_some());
    }

    #[test]
    fn cancel_may_return_what_its_context_can_cause() {
        let may = |kernel: Kernel, prog, irqs_off| {
            let context = Context {
                prog,
                cpu: 0,
                irqs_off,
            };
            let all = [0, 1, -1, -EINVAL, -EBUSY, -EDEADLK, -EOPNOTSUPP];
            let may = all.map(|ret| (ret, may_return(kernel, Act::Cancel, context, ret)));
            let may = may.into_iter().filter(|(_, may)| *may);
            may.map(|(ret, _)| ret).collect::<Vec<_>>()
        };
        let rust = Kernel::from(Rust);
        assert_eq!(may(rust, Prog::Tc, false), [0, 1, -EINVAL]);
        assert_eq!(may(rust, Prog::Tc, true), [0, 1, -EINVAL, -EBUSY]);
        assert_eq!(may(rust, Prog::Nmi, false), [0, 1, -EINVAL, -EBUSY]);
        let in_hardirq = [0, 1, -EINVAL, -EBUSY, -EDEADLK];
        assert_eq!(may(rust, Prog::Hardirq, false), in_hardirq);
        let rt = Kernel { rt: true, ..rust };
        assert_eq!(may(rt, Prog::SyscallA, false), [0, 1, -EINVAL]);
        assert_eq!(may(rt, Prog::Tc, false), [0, 1, -EINVAL, -EBUSY]);
        assert_eq!(may(C.into(), Prog::Tc, false), [0, 1, -EINVAL]);
        assert_eq!(may(C.into(), Prog::Nmi, false), [-EOPNOTSUPP]);
    }
}
