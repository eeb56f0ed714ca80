// SPDX-License-Identifier: GPL-2.0

//! Shows what BPF timers cost: a table, limits that hold or not, and a page with plots.

mod base;
mod figures;
mod limits;
mod names;
mod page;
mod plot;
mod reader;
mod rows;
#[cfg(test)]
mod sample;
mod sentences;
mod table;
mod text;
mod verdict;

use anyhow::{anyhow, bail, Context, Result};
use base::Base;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
Usage: bench [--base FILE] --limits FILE --html OUT JSON

Shows the measured figures in JSON as a table, and writes them as a page with
plots. Exits with 1 if a figure exceeds its limit, and with 2, without a page,
if a figure is missing.

  --base FILE    earlier figures, in the same format, to compare with
  --limits FILE  the limits, each with its reason
  --html OUT     where to write the page
";

struct Options {
    base: Option<PathBuf>,
    limits: PathBuf,
    html: PathBuf,
    json: PathBuf,
}

impl Options {
    /// `None` if help is asked for.
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let (mut base, mut limits, mut html, mut json) = (None, None, None, None);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--base" => base = Some(value(&arg, args.next())?),
                "--limits" => limits = Some(value(&arg, args.next())?),
                "--html" => html = Some(value(&arg, args.next())?),
                "--help" | "-h" => return Ok(None),
                _ if arg.starts_with('-') => bail!("unknown option {arg}, see --help"),
                _ if json.is_some() => bail!("only one file of figures, see --help"),
                _ => json = Some(arg.into()),
            }
        }
        Ok(Some(Options {
            base,
            limits: limits.context("--limits is missing, see --help")?,
            html: html.context("--html is missing, see --help")?,
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
    // A page of earlier figures must not pass for one of these.
    remove(&options.html)?;
    let figures = figures::read(&options.json)?;
    let base = options.base.as_deref().map(figures::read).transpose()?;
    let base = base.map(Base::new);
    let limits = limits::read(&options.limits)?;
    let verdicts =
        verdict::judge(&figures, &limits).with_context(|| options.limits.display().to_string())?;
    let html = page::page(&figures, &verdicts, base.as_ref())?;
    write(&options.html, &html)?;
    print!("{}", table::table(&figures, &verdicts, base.as_ref()));
    println!(
        "bench: {} of {} limits held{}; the page is {}",
        verdicts.held(),
        verdicts.limits.len(),
        base.map_or(String::new(), |base| {
            let (better, worse) = base.tally(&figures);
            format!("; {better} got better, {worse} worse")
        }),
        options.html.display()
    );
    Ok(verdicts.all_held())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != ErrorKind::NotFound => {
            Err(err).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, html: &str) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(path, html))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Option<Options>> {
        Options::from_args(args.split_whitespace().map(String::from))
    }

    #[test]
    fn options_are_understood() {
        let options = parse("--base a --limits b --html c d").unwrap().unwrap();
        assert_eq!(options.base.unwrap(), Path::new("a"));
        assert_eq!(options.json, Path::new("d"));
        assert!(parse("--help").unwrap().is_none());
        for bad in [
            "--limits b d",
            "--html c d",
            "--limits b --html c",
            "--limits b --html c d e",
            "--limits b --html c --fast d",
            "--limits b d --html",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
