// SPDX-License-Identifier: GPL-2.0

//! Shows what the BPF timers of this machine do, as top does for processes.

mod btf;
mod events;
mod histogram;
mod ids;
mod list;
mod names;
mod options;
mod screen;
mod table;

use anyhow::{bail, Context, Result};
use events::Events;
use ids::Ids;
use libbpf_rs::{set_print, PrintLevel};
use list::List;
use names::Names;
use nix::sys::resource::{getrusage, UsageWho};
use nix::unistd::geteuid;
use options::{Options, Output, HELP};
use screen::{Screen, Wish};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use table::{Column, Look, Table};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("timer_top: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// What libbpf says, to be shown if something fails.
static LOG: Mutex<String> = Mutex::new(String::new());

fn run() -> Result<()> {
    let options = Options::from_env()?;
    if options.help {
        print!("{HELP}");
        return Ok(());
    }
    check_kernel()?;
    set_print(Some((PrintLevel::Warn, |_, text| {
        if let Ok(mut log) = LOG.lock() {
            log.push_str(&text);
        }
    })));
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, stop.clone())?;
    }
    let mut object = MaybeUninit::uninit();
    let events = Events::attach(&mut object).map_err(|err| {
        let log = LOG.lock().map(|log| log.clone()).unwrap_or_default();
        err.context(log.trim().to_owned())
    })?;
    let mut watch = Watch::new(events, options.interval)?;
    match options.output {
        Output::Screen => watch.on_screen(&options, &stop),
        Output::Table | Output::Json => watch.in_lines(&options, &stop),
    }
}

/// Says what is missing, if something is.
fn check_kernel() -> Result<()> {
    if !geteuid().is_root() {
        bail!("this has to be root, since it attaches programs to tracepoints: try sudo");
    }
    let btf = Path::new("/sys/kernel/btf/vmlinux");
    if !btf.exists() {
        bail!("this kernel has no BTF: build it with CONFIG_DEBUG_INFO_BTF=y");
    }
    let btf = libbpf_rs::btf::Btf::from_vmlinux().context("the kernel's BTF cannot be read")?;
    let has = |name: &str| {
        btf.type_by_name::<libbpf_rs::btf::types::Typedef<'_>>(name)
            .is_some()
    };
    if !has("btf_trace_bpf_timer_start") {
        bail!(
            "this kernel's BPF timers have no tracepoints: build it with CONFIG_BPF_TIMER_RUST=y"
        );
    }
    if !has("btf_trace_bpf_timer_free") {
        bail!("this kernel's BPF timers are of an older version than timer_top");
    }
    Ok(())
}

/// The looks at the timers, one after the other.
struct Watch<'obj> {
    events: Events<'obj>,
    list: List,
    names: Names,
    interval: Duration,
    before: (Instant, Look),
    now: (Instant, Look),
    /// The CPU time of this process at these looks, and its share of the time between them.
    used: Duration,
    share: f64,
}

impl<'obj> Watch<'obj> {
    fn new(events: Events<'obj>, interval: Duration) -> Result<Self> {
        let mut watch = Self {
            events,
            list: List::new(),
            names: Names::new(),
            interval,
            before: (Instant::now(), Look::default()),
            now: (Instant::now(), Look::default()),
            used: cpu_time(),
            share: 0.0,
        };
        watch.look()?;
        Ok(watch)
    }

    fn look(&mut self) -> Result<()> {
        let ids = Ids::read();
        let look = Look {
            timers: self.list.refresh(&ids),
            snapshot: self.events.snapshot(&ids)?,
        };
        let keys = look.snapshot.counts.keys().chain(look.timers.keys());
        self.names.learn(keys);
        self.before = std::mem::replace(&mut self.now, (Instant::now(), look));
        let used = cpu_time();
        self.share = (used - self.used).as_secs_f64() / self.time().as_secs_f64().max(1e-9);
        self.used = used;
        Ok(())
    }

    fn time(&self) -> Duration {
        self.now.0 - self.before.0
    }

    fn table(&self, view: table::View) -> Table {
        let listed = |map| self.list.has(map);
        Table::between(
            &self.before.1,
            &self.now.1,
            self.time(),
            view,
            &self.names,
            listed,
        )
    }

    fn on_screen(&mut self, options: &Options, stop: &AtomicBool) -> Result<()> {
        let mut screen = Screen::new(options)?;
        let mut left = options.count;
        let mut due = Instant::now() + self.interval.min(Duration::from_millis(500));
        screen.show(self.table(screen.view), self.share)?;
        while !stop.load(Ordering::Relaxed) && left != Some(0) {
            match screen.wait(due)? {
                Wish::Quit => break,
                Wish::Redo => screen.show(self.table(screen.view), self.share)?,
                Wish::Nothing => {}
            }
            if Instant::now() < due {
                continue;
            }
            due = Instant::now() + self.interval;
            if !screen.is_paused() {
                self.look()?;
                screen.show(self.table(screen.view), self.share)?;
                left = left.map(|left| left - 1);
            }
        }
        Ok(())
    }

    fn in_lines(&mut self, options: &Options, stop: &AtomicBool) -> Result<()> {
        let mut left = options.count;
        while left != Some(0) {
            let due = Instant::now() + self.interval;
            while Instant::now() < due {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let left = due.saturating_duration_since(Instant::now());
                thread::sleep(left.min(Duration::from_millis(100)));
            }
            self.look()?;
            let mut table = self.table(options.view);
            table.arrange(&options.filter, options.sort);
            let mut out = io::stdout().lock();
            let written = match options.output {
                Output::Json => writeln!(out, "{}", table.to_json(options.view)),
                _ => print_table(&mut out, &table),
            };
            match written.and_then(|()| out.flush()) {
                // Who reads has seen enough.
                Err(err) if err.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                result => result.context("the output cannot be written")?,
            }
            left = left.map(|left| left - 1);
        }
        Ok(())
    }
}

/// Prints all columns, however wide that is.
fn print_table(out: &mut impl Write, table: &Table) -> io::Result<()> {
    let columns = Column::ALL;
    let pad = |text: &str, column: Column, width: usize| match column.is_text() {
        true => format!("{text:width$}"),
        false => format!("{text:>width$}"),
    };
    let join = |cells: Vec<String>| cells.join(" ").trim_end().to_owned();
    let titles = columns
        .iter()
        .map(|(column, title, width)| pad(title, *column, *width));
    writeln!(out, "{}", join(titles.collect()))?;
    for line in &table.lines {
        let cells = columns
            .iter()
            .map(|(column, _, width)| pad(&line.cell(*column, table.seconds), *column, *width));
        writeln!(out, "{}", join(cells.collect()))?;
    }
    writeln!(
        out,
        "{} events, {} lost",
        table.total.counts.events(),
        table.lost
    )
}

/// Returns the CPU time that this process has used.
fn cpu_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    let time = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
    };
    time(usage.user_time()) + time(usage.system_time())
}
