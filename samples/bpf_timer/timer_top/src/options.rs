// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::table::{Column, View};
use anyhow::{bail, Result};
use lexopt::prelude::*;
use std::time::Duration;

pub const HELP: &str = "\
timer_top: show what the BPF timers of this machine do

  timer_top [OPTION...]

  --by map|prog|cpu     a line for each map (default), program or CPU
  --sort COLUMN         sort by that column, the largest first
  --filter TEXT         only show lines whose name, type or owner has that text
  --interval SECONDS    time between two looks (default 1)
  --count N             end after N looks
  --once                look once, print a table, and end
  --batch               print a line of JSON for each look
  -h, --help            print this

Keys: m p c  by map, program, CPU     s S  sort by the next, previous column
      up down  choose a line          /    filter, Enter to end, Esc to drop
      space  pause                    q    quit
";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Screen,
    Table,
    Json,
}

pub struct Options {
    pub help: bool,
    pub output: Output,
    pub view: View,
    pub sort: Column,
    pub filter: String,
    pub interval: Duration,
    pub count: Option<u64>,
}

impl Options {
    pub fn from_env() -> Result<Self> {
        Self::parse(lexopt::Parser::from_env())
    }

    fn parse(mut parser: lexopt::Parser) -> Result<Self> {
        let mut options = Self {
            help: false,
            output: Output::Screen,
            view: View::Map,
            sort: Column::Expiries,
            filter: String::new(),
            interval: Duration::from_secs(1),
            count: None,
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Short('h') | Long("help") => options.help = true,
                Long("by") => options.view = parser.value()?.parse()?,
                Long("sort") => options.sort = parser.value()?.parse()?,
                Long("filter") => options.filter = parser.value()?.string()?,
                Long("interval") => {
                    let seconds: f64 = parser.value()?.parse()?;
                    if !(0.1..=3600.0).contains(&seconds) {
                        bail!("--interval takes seconds from 0.1 to 3600");
                    }
                    options.interval = Duration::from_secs_f64(seconds);
                }
                Long("count") => options.count = Some(parser.value()?.parse()?),
                Long("once") => {
                    options.output = Output::Table;
                    options.count = Some(1);
                }
                Long("batch") => options.output = Output::Json,
                _ => return Err(arg.unexpected().into()),
            }
        }
        if options.count == Some(0) {
            bail!("--count takes a number from 1 on");
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(lexopt::Parser::from_args(args))
    }

    #[test]
    fn options_are_read() {
        let args = [
            "--by",
            "prog",
            "--sort",
            "armed",
            "--interval",
            "0.5",
            "--count",
            "3",
        ];
        let options = parse(&args).unwrap();
        assert!(options.view == View::Prog && options.sort == Column::Armed);
        assert_eq!(options.interval, Duration::from_millis(500));
        assert_eq!(options.count, Some(3));
        assert!(parse(&["--once"]).unwrap().output == Output::Table);
        assert!(parse(&["--batch"]).unwrap().output == Output::Json);
    }

    #[test]
    fn bad_options_are_refused_with_a_sentence() {
        for (args, why) in [
            (&["--interval", "0"][..], "0.1"),
            (&["--count", "0"], "from 1 on"),
            (&["--by", "moon"], "map, prog or cpu"),
            (&["--sort", "moon"], "timers"),
            (&["--all"], "--all"),
            (&["--count"], "--count"),
        ] {
            let err = parse(args).err().expect("an error").to_string();
            assert!(err.contains(why), "{err}");
        }
    }
}
