// SPDX-License-Identifier: GPL-2.0

//! CPUs: how a thread moves between them, and how they go offline and come back.

use crate::ops::{Act, Context, ElementAct, Op, Prog, SlotId, Update, When, CLOCKS, SOON};
use anyhow::{ensure, Context as _, Result};
use fastrand::Rng;
use nix::sched::{sched_setaffinity, CpuSet};
use nix::sys::signal::{raise, SigSet, Signal};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

const DIRECTORY: &str = "/sys/devices/system/cpu";

pub fn move_to(cpu: u32) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu as usize)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).with_context(|| format!("CPU {cpu} is not there"))
}

/// The CPUs from 0 on that are used. CPU 0 always stays online.
pub struct Cpus {
    pub count: u32,
    directory: PathBuf,
    hotplug: bool,
    offline: Mutex<Offline>,
}

#[derive(Default)]
struct Offline {
    /// A bit for each CPU that is offline.
    now: u32,
    times: u64,
}

impl Cpus {
    /// CPUs that stay online.
    pub fn new(count: u32) -> Self {
        Self {
            count,
            directory: DIRECTORY.into(),
            hotplug: false,
            offline: Mutex::default(),
        }
    }

    /// Lets all CPUs but CPU 0 go offline, if the machine can do that.
    pub fn allow_hotplug(&mut self) -> Result<()> {
        for cpu in 1..self.count {
            let file = self.file(cpu);
            OpenOptions::new()
                .write(true)
                .open(&file)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        self.hotplug = true;
        Ok(())
    }

    /// Whether there is a CPU that can go offline.
    pub fn can_go(&self) -> bool {
        self.hotplug && self.count > 1
    }

    /// How often a CPU was taken offline.
    pub fn times_offline(&self) -> u64 {
        self.lock().times
    }

    pub fn is_online(&self, cpu: u32) -> bool {
        self.lock().now & (1 << cpu) == 0
    }

    fn file(&self, cpu: u32) -> PathBuf {
        self.directory.join(format!("cpu{cpu}/online"))
    }

    fn lock(&self) -> MutexGuard<'_, Offline> {
        self.offline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a CPU offline or brings it back, unless that is its state already.
    pub fn switch(&self, cpu: u32, online: bool) -> Result<()> {
        ensure!(self.hotplug && cpu > 0, "CPU {cpu} stays online");
        self.switch_locked(&mut self.lock(), cpu, online)
    }

    fn switch_locked(&self, offline: &mut Offline, cpu: u32, online: bool) -> Result<()> {
        if online == (offline.now & (1 << cpu) == 0) {
            return Ok(());
        }
        fs::write(self.file(cpu), if online { "1" } else { "0" }).with_context(|| {
            let how = if online { "come back" } else { "go offline" };
            format!("CPU {cpu} does not {how}")
        })?;
        offline.now ^= 1 << cpu;
        offline.times += u64::from(!online);
        Ok(())
    }

    /// Brings all CPUs back, also the others if one of them fails to come back.
    pub fn bring_back(&self) -> Result<()> {
        self.bring_back_locked(&mut self.lock())
    }

    fn bring_back_locked(&self, offline: &mut Offline) -> Result<()> {
        (1..self.count)
            .map(|cpu| self.switch_locked(offline, cpu, true))
            .fold(Ok(()), Result::and)
    }

    /// Brings all CPUs back after something that may have failed.
    pub fn back_after<T>(&self, result: Result<T>) -> Result<T> {
        let back = self.bring_back();
        let value = result?;
        back.map(|()| value)
    }

    /// Waits for callbacks that have begun: no callback runs where a task runs, and none on a
    /// CPU that is offline.
    pub fn let_callbacks_end(&self) -> Result<()> {
        (0..self.count)
            .filter(|&cpu| self.is_online(cpu))
            .try_for_each(move_to)
    }
}

/// Brings all CPUs back when it is dropped.
pub struct BackAtEnd<'a>(pub &'a Cpus);

impl Drop for BackAtEnd<'_> {
    fn drop(&mut self) {
        if let Err(err) = self.0.bring_back() {
            eprintln!("fuzz: {err:#}");
        }
    }
}

/// Starts a thread that brings all CPUs back before a signal ends this process. Threads
/// that are started later leave the signals to that thread.
pub fn come_back_on_signals(cpus: &Arc<Cpus>) -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let cpus = Arc::clone(cpus);
    thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            // The lock keeps CPUs from going offline again before the process ends.
            let mut offline = cpus.lock();
            if let Err(err) = cpus.bring_back_locked(&mut offline) {
                eprintln!("fuzz: {err:#}");
            }
            // An ignored signal does not end the process.
            let _ = signals.thread_unblock();
            let _ = raise(signal);
            let _ = signals.thread_block();
        }
    });
    Ok(())
}

/// Inserts steps that take CPUs offline and bring them back, in one sequence of four because
/// hotplug is slow. The operations of a CPU that is offline move to one that is online.
pub fn with_hotplug(ops: Vec<Op>, seed: u64, cpus: u32) -> Vec<Op> {
    // A generator of its own: the other operations are the same with and without hotplug.
    let mut rng = Rng::with_seed(seed ^ 0x6f66_666c_696e_6521);
    if cpus < 2 || ops.is_empty() || rng.u32(..4) > 0 {
        return ops;
    }
    let mut steps: Vec<usize> = (0..rng.usize(2..=6))
        .map(|_| rng.usize(..ops.len()))
        .collect();
    let slots: Vec<SlotId> = ops.iter().filter_map(Op::slot).collect();
    let mut offline = vec![false; cpus as usize];
    let mut new = Vec::new();

    steps.sort_unstable();
    for (at, mut op) in ops.into_iter().enumerate() {
        for _ in steps.iter().filter(|&&step| step == at) {
            let cpu = rng.u32(1..cpus);
            let online = &mut offline[cpu as usize];
            if !*online {
                (0..rng.u32(1..=3)).for_each(|_| arm(&mut new, &mut rng, &slots, cpu));
            }
            new.push(Op::Cpu {
                cpu,
                online: *online,
            });
            *online = !*online;
        }
        if let Some(context) = op.context_mut() {
            // This ends at CPU 0, which is always online.
            while offline[context.cpu as usize] {
                context.cpu -= 1;
            }
        } else if let Some(cpu) = op.cpu().filter(|&cpu| offline[cpu as usize]) {
            new.push(Op::Cpu { cpu, online: true });
            offline[cpu as usize] = false;
        }
        new.push(op);
    }
    new
}

/// Starts a timer on a CPU that goes offline next. The timer is due before the CPU is gone, while
/// it is away, or when it is back.
fn arm(ops: &mut Vec<Op>, rng: &mut Rng, slots: &[SlotId], cpu: u32) {
    let slot = slots[rng.usize(..slots.len())];
    let context = Context {
        prog: Prog::SyscallA,
        cpu,
        irqs_off: rng.bool(),
    };
    let acts = [
        Act::Init {
            flags: CLOCKS[rng.usize(..CLOCKS.len())],
        },
        Act::SetCallback { second: rng.bool() },
        Act::Start {
            when: When::Relative(rng.u64(1..=SOON)),
            pin: rng.bool(),
            bad: false,
        },
    ];
    if !slot.map().is_array() {
        ops.push(Op::Element {
            slot,
            act: ElementAct::Update(Update::NoExist, rng.u32(..1000)),
            context: None,
        });
    }
    ops.extend(acts.map(|act| Op::Timer { slot, act, context }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Generator;
    use std::collections::BTreeSet;
    use std::fs::{create_dir_all, read_to_string, remove_dir_all};
    use std::process;

    /// A directory like the kernel's, of four CPUs.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("fuzz-{name}-{}", process::id()));
            for cpu in 1..4 {
                create_dir_all(directory.join(format!("cpu{cpu}"))).unwrap();
                fs::write(directory.join(format!("cpu{cpu}/online")), "1").unwrap();
            }
            Self(directory)
        }

        fn cpus(&self) -> Cpus {
            let mut cpus = Cpus {
                directory: self.0.clone(),
                ..Cpus::new(4)
            };
            cpus.allow_hotplug().unwrap();
            cpus
        }

        fn offline(&self) -> Vec<u32> {
            let is_offline =
                |cpu| read_to_string(self.0.join(format!("cpu{cpu}/online"))).unwrap() == "0";
            (1..4).filter(|&cpu| is_offline(cpu)).collect()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn cpus_go_and_come_back() {
        let directory = Directory::new("go");
        let cpus = directory.cpus();
        cpus.switch(1, false).unwrap();
        cpus.switch(3, false).unwrap();
        cpus.switch(3, false).unwrap();
        assert_eq!(directory.offline(), [1, 3]);
        assert_eq!(cpus.times_offline(), 2);
        assert!(!cpus.is_online(1) && cpus.is_online(2));
        cpus.switch(1, true).unwrap();
        assert_eq!(directory.offline(), [3]);
        assert!(cpus.switch(0, false).is_err());
        assert!(cpus.is_online(0));
    }

    #[test]
    fn all_cpus_are_back_at_the_end() {
        let directory = Directory::new("back");
        let cpus = directory.cpus();
        let end = BackAtEnd(&cpus);
        (1..4).for_each(|cpu| cpus.switch(cpu, false).unwrap());
        assert_eq!(directory.offline(), [1, 2, 3]);
        drop(end);
        assert!(directory.offline().is_empty());
    }

    #[test]
    fn a_lost_cpu_does_not_keep_the_others_away() {
        let directory = Directory::new("lost");
        let cpus = directory.cpus();
        (1..4).for_each(|cpu| cpus.switch(cpu, false).unwrap());
        let file = cpus.file(1);
        fs::remove_file(&file).unwrap();
        create_dir_all(&file).unwrap();
        assert!(cpus.bring_back().is_err());
        assert!(!cpus.is_online(1) && cpus.is_online(2) && cpus.is_online(3));
    }

    #[test]
    fn no_cpu_goes_where_none_can() {
        let directory = Directory::new("none");
        let mut cpus = Cpus {
            directory: directory.0.join("cpu1"),
            ..Cpus::new(4)
        };
        let why = format!("{:#}", cpus.allow_hotplug().unwrap_err());
        assert!(why.contains("cpu1/online cannot be written: "), "{why}");
        assert!(!cpus.can_go());
        assert!(cpus.switch(1, false).is_err());
        assert!(!Cpus::new(1).can_go());
    }

    fn sequences(cpus: u32) -> impl Iterator<Item = (Vec<Op>, Vec<Op>)> {
        (0..400).map(move |seed| {
            let ops = Generator::new(seed, cpus).sequence(300);
            (ops.clone(), with_hotplug(ops, seed, cpus))
        })
    }

    fn steps(ops: &[Op]) -> usize {
        ops.iter().filter(|op| matches!(op, Op::Cpu { .. })).count()
    }

    #[test]
    fn hotplug_is_rare() {
        let steps: Vec<usize> = sequences(2).map(|(_, ops)| steps(&ops)).collect();
        let some = steps.iter().filter(|&&steps| steps > 0).count();
        assert!((75..=125).contains(&some), "{some} of 400");
        // Two CPUs used at once may add one for each step.
        assert!(steps.iter().all(|&steps| steps <= 12), "{steps:?}");
    }

    #[test]
    fn cpus_that_are_offline_are_not_used() {
        for cpus in [2, 4] {
            let mut gone = BTreeSet::new();
            for (_, ops) in sequences(cpus) {
                let mut offline = BTreeSet::new();
                for op in ops {
                    match op {
                        Op::Cpu { cpu, online } => {
                            assert!((1..cpus).contains(&cpu));
                            let changed = match online {
                                true => offline.remove(&cpu),
                                false => offline.insert(cpu),
                            };
                            assert!(changed, "{op} again");
                            gone.insert(cpu);
                        }
                        _ => assert!(op.cpu().is_none_or(|cpu| !offline.contains(&cpu)), "{op}"),
                    }
                }
            }
            assert_eq!(gone, (1..cpus).collect());
        }
    }

    #[test]
    fn the_other_operations_stay() {
        for (before, after) in sequences(4) {
            let mut after = after.iter();
            for op in before {
                let same = |other: &Op| match (op, *other) {
                    (Op::Timer { act, .. }, Op::Timer { act: other, .. }) => act == other,
                    (Op::Element { act, .. }, Op::Element { act: other, .. }) => act == other,
                    (op, other) => op == other,
                };
                assert!(after.any(same), "{op} is missing");
            }
        }
    }

    #[test]
    fn timers_are_due_while_their_cpu_goes() {
        let armed = sequences(2).any(|(_, ops)| {
            ops.windows(2).any(|ops| match ops {
                [Op::Timer {
                    act: Act::Start { pin: true, .. },
                    context,
                    ..
                }, Op::Cpu { cpu, online: false }] => context.cpu == *cpu,
                _ => false,
            })
        });
        assert!(armed);
    }

    #[test]
    fn one_cpu_stays() {
        for (before, after) in sequences(1) {
            assert_eq!(before, after);
        }
    }
}
