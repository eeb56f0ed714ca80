// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::pin;
use anyhow::{bail, Result};
use std::env;
use std::path::PathBuf;

pub const HELP: &str = "\
Usage: dns_ttl [OPTIONS]

Puts DNS records into a BPF map and watches each one's timer prune it when its
TTL ends. Ctrl-C cancels the timers that are left and ends.

  --records FILE     read the records from FILE, in lines of name,address,ttl_ms
                     (default: the records.csv that dns_ttl was built with)
  --max-entries N    size of the map, 1 to 1000000 (default 1024); with fewer
                     entries than records LRU eviction sets in: try 8
  --pin[=PATH]       keep the map and its timers after exit; a later run with
                     the same PATH lists what is left and watches it, and
                     inserts only what --records names
                     (default PATH: /sys/fs/bpf/dns_ttl)
  --no-watch         with --pin: insert, and exit at once
  --unpin[=PATH]     drop the map and the timers that --pin has kept, and exit
  -h, --help         print this

Exit status: 0 all records are gone (or left to the pinned map), 1 an error,
130 interrupted.
";

const MAX_ENTRIES: u32 = 1_000_000;

#[derive(Debug, Default, PartialEq)]
pub struct Options {
    pub records: Option<PathBuf>,
    pub max_entries: Option<u32>,
    pub pin: Option<PathBuf>,
    pub no_watch: bool,
    pub unpin: Option<PathBuf>,
    pub help: bool,
}

impl Options {
    pub fn from_env() -> Result<Self> {
        let mut args = Vec::new();
        for arg in env::args_os().skip(1) {
            match arg.into_string() {
                Ok(arg) => args.push(arg),
                Err(arg) => bail!("{} is not UTF-8", arg.to_string_lossy()),
            }
        }
        Self::parse(args)
    }

    fn parse(args: Vec<String>) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            let (name, attached) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (&arg[..], None),
            };
            if attached.is_some() && matches!(name, "--no-watch" | "--help") {
                bail!("{name} takes no value");
            }
            let mut value = || {
                attached
                    .clone()
                    .or_else(|| args.next_if(|next| !next.starts_with('-')))
            };
            match name {
                "--records" => options.records = Some(required(name, value())?.into()),
                "--max-entries" => {
                    let value = required(name, value())?;
                    match value.parse() {
                        Ok(n) if (1..=MAX_ENTRIES).contains(&n) => options.max_entries = Some(n),
                        _ => bail!(
                            "--max-entries takes a number from 1 to {MAX_ENTRIES}, not {value}"
                        ),
                    }
                }
                "--pin" => options.pin = Some(path(value())),
                "--no-watch" => options.no_watch = true,
                "--unpin" => options.unpin = Some(path(value())),
                "-h" | "--help" => options.help = true,
                _ => bail!("{arg} is no option of dns_ttl: see --help"),
            }
        }
        if options.no_watch && options.pin.is_none() {
            bail!("--no-watch goes with --pin: without it the timers end with dns_ttl");
        }
        if options.unpin.is_some() && options.pin.is_some() {
            bail!("--pin and --unpin exclude each other");
        }
        Ok(options)
    }
}

fn required(name: &str, value: Option<String>) -> Result<String> {
    match value {
        Some(value) if !value.is_empty() => Ok(value),
        _ => bail!("{name} needs a value: see --help"),
    }
}

fn path(value: Option<String>) -> PathBuf {
    value
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| pin::DEFAULT.into())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options> {
        Options::parse(args.split_whitespace().map(str::to_string).collect())
    }

    #[test]
    fn takes_values_in_both_forms() {
        for args in [
            "--records a.csv --max-entries 8",
            "--records=a.csv --max-entries=8",
        ] {
            let options = parse(args).unwrap();
            assert_eq!(options.records, Some("a.csv".into()));
            assert_eq!(options.max_entries, Some(8));
        }
    }

    #[test]
    fn pin_has_a_default() {
        let default = Some(PathBuf::from(pin::DEFAULT));
        assert_eq!(parse("--pin").unwrap().pin, default);
        assert_eq!(parse("--pin --no-watch").unwrap().pin, default);
        assert_eq!(parse("--pin=/x").unwrap().pin, Some("/x".into()));
        assert_eq!(parse("--pin /x").unwrap().pin, Some("/x".into()));
        assert_eq!(parse("--unpin").unwrap().unpin, default);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for args in [
            "--no-watch",
            "--records",
            "--records=",
            "--max-entries 0",
            "--max-entries x",
            "--pin --unpin",
            "--max-entries 1000001",
            "--help=x",
            "--frobnicate",
            "records.csv",
        ] {
            assert!(parse(args).is_err(), "{args} was taken");
        }
    }
}
