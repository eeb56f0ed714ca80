// SPDX-License-Identifier: GPL-2.0

//! Does random operations on BPF timers, and compares the results with a model.

mod cpus;
mod exec;
mod model;
mod ops;
mod race;
mod session;
mod shrink;
mod sys;

use anyhow::{anyhow, bail, Context, Result};
use cpus::{BackAtEnd, Cpus};
use exec::{Difference, Host, Tally};
use fastrand::Rng;
use model::{Implementation, Kernel};
use ops::{Generator, Op};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

const HELP: &str = "\
Usage: fuzz [--seed N] [--time SECONDS] [--cases N] [--ops N] [--race]
            [--implementation rust|c] [--no-hotplug] [--verbose]

Does random sequences of BPF timer operations, and compares what each returns,
and which callbacks run, with a model. Prints the shortest sequence found that
differs, and exits with 1.

  --seed N            the seed of the first case (default: random, and printed)
  --time SECONDS      how long to go on (default: 60)
  --cases N           how many cases to run at most
  --ops N             operations in a case (default: 300; with --race 2000)
  --race              do operations on several CPUs at once, with weaker checks
  --implementation c  accept the known differences of the C implementation (H3 to
                      H9, and no cancel with interrupts off)
  --no-hotplug        leave all CPUs online; otherwise one case in four takes some
                      offline and brings them back, with --race two in three
  --verbose           print each operation before it is done, for when the kernel
                      does not survive it
";

/// How long to wait for something that happens at once unless the host has other work.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for something that most likely does not happen.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);
/// How long to make a sequence shorter.
const SHRINKING: Duration = Duration::from_secs(120);
/// How often to print the progress.
const PROGRESS: Duration = Duration::from_secs(20);

struct Options {
    seed: u64,
    time: Duration,
    cases: u64,
    ops: Option<usize>,
    race: bool,
    implementation: Implementation,
    hotplug: bool,
    verbose: bool,
}

impl Options {
    /// `None` if help is asked for.
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Options {
            seed: Rng::new().u64(..1 << 32),
            time: Duration::from_secs(60),
            cases: u64::MAX,
            ops: None,
            race: false,
            implementation: Implementation::Rust,
            hotplug: true,
            verbose: false,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seed" => options.seed = value(&arg, args.next())?,
                "--time" => options.time = Duration::from_secs(value(&arg, args.next())?),
                "--cases" => options.cases = value(&arg, args.next())?,
                "--ops" => options.ops = Some(value(&arg, args.next())?),
                "--verbose" => options.verbose = true,
                "--race" => options.race = true,
                "--no-hotplug" => options.hotplug = false,
                "--implementation" => {
                    options.implementation = match args.next().as_deref() {
                        Some("rust") => Implementation::Rust,
                        Some("c") => Implementation::C,
                        _ => bail!("--implementation: rust or c"),
                    }
                }
                "--help" | "-h" => return Ok(None),
                _ => bail!("unknown option {arg}, see --help"),
            }
        }
        Ok(Some(options))
    }

    fn ops(&self) -> usize {
        self.ops.unwrap_or(if self.race { 2000 } else { 300 })
    }
}

fn value<T: FromStr>(option: &str, arg: Option<String>) -> Result<T> {
    arg.and_then(|arg| arg.parse().ok())
        .ok_or_else(|| anyhow!("{option} needs a number"))
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            eprintln!("fuzz: {err:#}");
            ExitCode::from(2)
        }
    }
}

fn is_configured(option: &str) -> Result<bool> {
    sys::is_configured(option)
        .context("/proc/config.gz cannot be searched: is IKCONFIG_PROC off, or zgrep missing?")
}

/// Returns whether nothing was found.
fn run() -> Result<bool> {
    let Some(options) = Options::from_args(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(true);
    };
    let cpus = find_cpus(&options)?;
    let _cpus_are_back = BackAtEnd(&cpus);
    let host = Host {
        cpus: &cpus,
        kernel: Kernel {
            implementation: options.implementation,
            // DEBUG_OBJECTS_TIMERS makes the setup of an hrtimer take locks.
            init_in_nmi: !is_configured("DEBUG_OBJECTS_TIMERS")?,
            rt: is_configured("PREEMPT_RT")?,
        },
        patience: PATIENCE,
        verbose: options.verbose,
    };
    let _stats = sys::enable_stats()
        .map_err(|err| anyhow!("error {err}"))
        .context("the statistics of programs cannot be switched on: is this root?")?;
    let _breakpoints = sys::keep_breakpoints().context("kprobes cannot be kept breakpoints")?;
    println!("seed {}, {} CPUs", options.seed, cpus.count);

    let mut tally = Tally::default();
    let mut cases = 0;
    let mut differences = 0;
    let start = Instant::now();
    let mut told = start;
    // The first case has the seed itself, so that any case can be run again alone.
    let mut seed = options.seed;
    while cases < options.cases && start.elapsed() < options.time && differences == 0 {
        cases += 1;
        if options.verbose {
            println!("case {cases}, seed {seed}");
        }
        differences += u32::from(!run_case(&host, &options, seed, &mut tally)?);
        seed = Rng::with_seed(seed).u64(..);
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            println!(
                "{} s: {} operations in {cases} cases",
                start.elapsed().as_secs(),
                tally.ops
            );
        }
    }
    println!(
        "{} operations in {cases} cases, {} s, {} firings, {} maps lost in use, \
         {} times a CPU went offline, {differences} differences",
        tally.ops,
        start.elapsed().as_secs(),
        tally.firings,
        tally.orphans,
        cpus.times_offline()
    );
    Ok(differences == 0)
}

/// Finds the CPUs to use. They come back if a signal ends this process.
fn find_cpus(options: &Options) -> Result<Arc<Cpus>> {
    let count = (available_parallelism()?.get() as u32).min(session::CPUS);
    let mut cpus = Cpus::new(count);
    if options.hotplug {
        if let Err(err) = cpus.allow_hotplug() {
            println!("All CPUs stay online: {err:#}.");
        }
    }
    let cpus = Arc::new(cpus);
    if cpus.can_go() {
        cpus::come_back_on_signals(&cpus)?;
    }
    Ok(cpus)
}

/// Returns whether nothing was found.
fn run_case(host: &Host<'_>, options: &Options, seed: u64, tally: &mut Tally) -> Result<bool> {
    let count = options.ops();
    let hotplug = if options.hotplug { "" } else { " --no-hotplug" };
    if options.race {
        let difference = race::run(host, seed, count, tally)?;
        if let Some(Difference { what, .. }) = &difference {
            println!("DIFFERENCE: {what}");
            println!("  again: --race --seed {seed} --ops {count} --cases 1{hotplug}");
        }
        return Ok(difference.is_none());
    }
    let mut ops = Generator::new(seed, host.cpus.count).sequence(count);
    if host.cpus.can_go() {
        ops = cpus::with_hotplug(ops, seed, host.cpus.count);
    }
    // One case in four, because it is slow.
    let orphan = seed % 4 == 0;
    let Some(difference) = exec::run(host, &ops, orphan, tally)? else {
        return Ok(true);
    };
    report(&ops, &difference);
    println!("  again: --seed {seed} --ops {count} --cases 1{hotplug}");
    report_shortest(host, &ops, &difference, orphan);
    Ok(false)
}

fn report(ops: &[Op], difference: &Difference) {
    match difference.at {
        Some(at) => println!("DIFFERENCE at operation {}, {}", at + 1, ops[at]),
        None => println!("DIFFERENCE at the end of {} operations", ops.len()),
    }
    println!("  {}", difference.what);
}

/// Whether two differences are about the same kind of operation.
fn is_alike(first: &Difference, ops: &[Op], second: &Difference, others: &[Op]) -> bool {
    match (first.at, second.at) {
        (Some(at), Some(other)) => ops[at].is_like(&others[other]),
        (None, None) => true,
        _ => false,
    }
}

/// Makes the sequence shorter while there is a difference of the same kind.
fn report_shortest(host: &Host<'_>, ops: &[Op], first: &Difference, orphan: bool) {
    let host = Host {
        patience: SHORT_PATIENCE,
        ..*host
    };
    let start = Instant::now();
    let mut what = None;
    let end = first.at.map_or(ops.len(), |at| at + 1);
    let shortest = shrink::shrink(&ops[..end], |others| {
        if start.elapsed() > SHRINKING {
            return None;
        }
        let found = exec::run(&host, others, orphan, &mut Tally::default()).ok()?;
        let found = found.filter(|found| is_alike(first, ops, found, others));
        let differs = found.is_some();
        what = found.map(|found| found.what).or(what.take());
        Some(differs)
    });
    match what {
        Some(what) => {
            println!(
                "The shortest sequence found, of {} operations:",
                shortest.len()
            );
            shortest.iter().for_each(|op| println!("  {op}"));
            println!("  {what}");
        }
        None => {
            println!("It did not differ again, so here is all of it:");
            ops[..end].iter().for_each(|op| println!("  {op}"));
        }
    }
}
