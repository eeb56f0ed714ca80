// SPDX-License-Identifier: GPL-2.0

//! Shows what BPF timers cost: a table, and limits that hold or not.

// Nothing calls the plots yet.
#![allow(dead_code)]

mod base;
mod figures;
mod limits;
mod names;
mod plot;
mod reader;
#[cfg(test)]
mod sample;
mod table;
mod text;
mod verdict;

use anyhow::{anyhow, bail, Context, Result};
use base::Base;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Usage: bench [--base FILE] --limits FILE JSON

Shows the measured figures in JSON as a table. Exits with 1 if a figure exceeds its
limit, and with 2 if a figure is missing.

  --base FILE    earlier figures, in the same format, to compare with
  --limits FILE  the limits, each with its reason
";

struct Options {
    base: Option<PathBuf>,
    limits: PathBuf,
    json: PathBuf,
}

impl Options {
    /// `None` if help is asked for.
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let (mut base, mut limits, mut json) = (None, None, None);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--base" => base = Some(value(&arg, args.next())?),
                "--limits" => limits = Some(value(&arg, args.next())?),
                "--help" | "-h" => return Ok(None),
                _ if arg.starts_with('-') => bail!("unknown option {arg}, see --help"),
                _ if json.is_some() => bail!("only one file of figures, see --help"),
                _ => json = Some(arg.into()),
            }
        }
        Ok(Some(Options {
            base,
            limits: limits.context("--limits is missing, see --help")?,
            json: json.context("the file of figures is missing, see --help")?,
        }))
    }
}

fn value(option: &str, arg: Option<String>) -> Result<PathBuf> {
    arg.map(PathBuf::from)
        .ok_or_else(|| anyhow!("{option} needs a file"))
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            eprintln!("bench: {err:#}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether all limits are held.
fn run() -> Result<bool> {
    let Some(options) = Options::from_args(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(true);
    };
    let figures = figures::read(&options.json)?;
    let base = options.base.as_deref().map(figures::read).transpose()?;
    let base = base.map(Base::new);
    let limits = limits::read(&options.limits)?;
    let verdicts =
        verdict::judge(&figures, &limits).with_context(|| options.limits.display().to_string())?;
    print!("{}", table::table(&figures, &verdicts, base.as_ref()));
    println!(
        "bench: {} of {} limits held{}",
        verdicts.held(),
        verdicts.limits.len(),
        base.map_or(String::new(), |base| {
            let (better, worse) = base.tally(&figures);
            format!("; {better} got better, {worse} worse")
        })
    );
    Ok(verdicts.all_held())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Option<Options>> {
        Options::from_args(args.split_whitespace().map(String::from))
    }

    #[test]
    fn options_are_understood() {
        let options = parse("--base a --limits b d").unwrap().unwrap();
        assert_eq!(options.base.unwrap().to_str(), Some("a"));
        assert_eq!(options.json.to_str(), Some("d"));
        assert!(parse("--help").unwrap().is_none());
        for bad in [
            "d",
            "--limits b",
            "--limits b d e",
            "--limits b --fast d",
            "d --limits",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
