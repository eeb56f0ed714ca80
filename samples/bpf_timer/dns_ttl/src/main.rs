// SPDX-License-Identifier: GPL-2.0

//! A DNS cache in a BPF map. BPF timers prune its records.

mod cache;
mod options;
mod output;
mod pin;
mod records;
mod watch;

use anyhow::{bail, Context, Result};
use cache::Cache;
use options::{Options, HELP};
use output::Output;
use pin::Pin;
use records::Record;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::fs;
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use watch::Watch;

const DEFAULT_RECORDS: &[u8] = include_bytes!("../records.csv");
const DEFAULT_MAX_ENTRIES: u32 = 1024;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run() {
        Ok(status) => status,
        Err(err) => {
            eprintln!("dns_ttl: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let options = Options::from_env()?;
    let output = Output::new();
    if options.help {
        output.line(HELP.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(dir) = &options.unpin {
        let pending = pin::unpin(dir)?;
        output.line(format_args!(
            "unpinned {}, and with it {pending} pending records and their timers",
            dir.display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }

    // A second Ctrl-C ends the program at once.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), stop.clone())?;
        flag::register(signal, stop.clone())?;
    }

    let pin = options.pin.as_deref().map(Pin::open).transpose()?;
    let found = pin.as_ref().and_then(|pin| pin.max_entries);
    let (records, malformed) = match (&options.records, found) {
        (None, Some(_)) => (Vec::new(), 0),
        _ => read_records(&options)?,
    };
    let mut object = MaybeUninit::uninit();
    let cache = load(&options, &mut object, pin.as_ref())?;
    let mut watch = Watch::new(cache, output, malformed)?;
    if found.is_some() {
        watch.find()?;
    }
    let done = watch_records(&mut watch, &records, &options, &stop);
    let clean = watch.finish()?;
    Ok(match done? {
        false => ExitCode::from(INTERRUPTED),
        true if clean => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    })
}

/// Reads the file, or the default one, and reports its malformed lines.
fn read_records(options: &Options) -> Result<(Vec<Record>, usize)> {
    let (file, name) = match &options.records {
        Some(path) => {
            let name = path.display().to_string();
            let file = fs::read(path).with_context(|| format!("{name} cannot be read"))?;
            (file, name)
        }
        None => (DEFAULT_RECORDS.to_vec(), "records.csv".into()),
    };
    let parsed = records::parse(&file);
    for (line, why) in &parsed.malformed {
        eprintln!("{name}:{line}: skipped: {why}");
    }
    for (line, what) in &parsed.replaced {
        eprintln!("{name}:{line}: {what}");
    }
    if parsed.records.is_empty() {
        bail!("{name} holds no record: give it lines of name,address,ttl_ms");
    }
    Ok((parsed.records, parsed.malformed.len()))
}

fn load<'obj>(
    options: &Options,
    object: &'obj mut MaybeUninit<libbpf_rs::OpenObject>,
    pin: Option<&Pin>,
) -> Result<Cache<'obj>> {
    let found = pin.and_then(|pin| pin.max_entries);
    if let (Some(pin), Some(found), Some(asked)) = (pin, found, options.max_entries) {
        if found != asked {
            bail!(
                "the map at {0} has {found} entries, not {asked}: drop it with --unpin={0}",
                pin.dir.display()
            );
        }
    }
    let max_entries = found.or(options.max_entries).unwrap_or(DEFAULT_MAX_ENTRIES);
    Cache::load(object, max_entries, pin)
}

/// Returns false if a signal ended it.
fn watch_records(
    watch: &mut Watch<'_>,
    records: &[Record],
    options: &Options,
    stop: &AtomicBool,
) -> Result<bool> {
    let mut done = watch.insert(records, stop)?;
    if done && !options.no_watch {
        done = watch.run(stop)?;
    }
    watch.settle()?;
    if !done && options.pin.is_none() {
        watch.cancel()?;
    }
    Ok(done)
}
