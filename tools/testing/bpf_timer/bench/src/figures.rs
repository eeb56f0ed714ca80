// SPDX-License-Identifier: GPL-2.0

//! The measured figures. Reading them fails if one is missing.

use crate::names;
use crate::reader::{self, Part};
use crate::text;
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

const FORMAT: u64 = 1;

pub struct Figures {
    pub commit: String,
    pub date: String,
    pub machine: Machine,
    /// Sorted by context, map, CPUs, operation and timers.
    pub rows: Vec<Row>,
    pub shared: Shared,
    /// `None` in a quick run.
    pub slow: Option<Slow>,
}

pub struct Machine {
    pub cpus: u64,
    pub accelerator: String,
    pub kernel: String,
}

/// The cost of one operation, in instructions.
pub struct Row {
    pub key: Key,
    pub rust: f64,
    pub c: f64,
    /// `None` if hrtimers have no such operation.
    pub hrtimer: Option<f64>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    pub operation: String,
    pub map: String,
    pub context: String,
    pub timers: u64,
    pub cpus: u64,
}

/// Starts a second that CPUs do together on the same timers.
pub struct Shared {
    pub timers: u64,
    pub cpus: u64,
    pub rust: f64,
    pub c: f64,
}

/// The figures that only a full run has.
pub struct Slow {
    /// Nanoseconds between the ticks of the grid.
    pub grid: f64,
    pub lateness: Vec<Series>,
    /// The number of timers beside which a thread wakes up.
    pub neighbour_timers: u64,
    pub neighbour: Vec<Series>,
    /// Bytes of a timer.
    pub memory: Pair,
    /// Seconds until the memory of all timers is back.
    pub free: Pair,
}

pub struct Pair {
    pub timers: u64,
    pub rust: f64,
    pub c: f64,
}

pub struct Series {
    pub who: Who,
    pub cpu: u64,
    pub expiries: u64,
    pub missed: u64,
    /// Shares and nanoseconds.
    pub quantiles: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Who {
    Nobody,
    Rust,
    C,
    Hrtimer,
}

impl Row {
    pub fn ratio(&self) -> f64 {
        self.rust / self.c
    }
}

impl Key {
    /// The rows of one group are below one heading of a table, and in one plot.
    pub fn group(&self) -> (&str, &str, u64) {
        (&self.context, &self.map, self.cpus)
    }
}

impl Key {
    /// The operation and where it is done, for a reader.
    pub fn place(&self) -> String {
        format!(
            "{} {}, {}",
            names::label(&self.operation),
            names::context(&self.context),
            names::map(&self.map)
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, {}, {}, {})",
            self.operation,
            self.map,
            self.context,
            text::counted(self.timers, "timer"),
            text::counted(self.cpus, "CPU")
        )
    }
}

impl Series {
    /// The nanoseconds that a share of the expiries does not exceed.
    pub fn at(&self, share: f64) -> f64 {
        let above = self.quantiles.iter().find(|(p, _)| *p >= share);
        above.or(self.quantiles.last()).map_or(0.0, |(_, ns)| *ns)
    }
}

pub fn read(path: &Path) -> Result<Figures> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    parse(&text).with_context(|| name.to_string())
}

pub fn parse(text: &str) -> Result<Figures> {
    let value = reader::parse(text)?;
    let all = Part::new(&value, "the figures");
    match value.get("format") {
        Some(format) if format.as_u64() == Some(FORMAT) => {}
        format => bail!(
            "the figures have format {}, not {FORMAT}",
            format.unwrap_or(&Value::Null)
        ),
    }
    let machine = all.part("machine")?;
    let quick = all.flag("quick")?;
    Ok(Figures {
        commit: all.text("commit")?.into(),
        date: all.text("date")?.into(),
        machine: Machine {
            cpus: machine.count("cpus")?,
            accelerator: machine.text("accelerator")?.into(),
            kernel: machine.text("kernel")?.into(),
        },
        rows: rows(&all)?,
        shared: shared(&all)?,
        slow: if quick { None } else { Some(slow(&all)?) },
    })
}

fn rows(all: &Part<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    for part in all.list("instructions")? {
        let key = Key {
            operation: part.text("operation")?.into(),
            map: part.text("map")?.into(),
            context: part.text("context")?.into(),
            timers: part.count("timers")?,
            cpus: part.count("cpus")?,
        };
        if names::is_hidden(&key.operation) {
            continue;
        }
        if !seen.insert(key.clone()) {
            bail!("{key} is there twice");
        }
        let part = part.named(key.to_string());
        rows.push(Row {
            key,
            rust: part.figure("rust")?,
            c: part.figure("c")?,
            hrtimer: part.optional_figure("hrtimer")?,
        });
    }
    if rows.is_empty() {
        bail!("the figures have no operation to show");
    }
    rows.sort_by_cached_key(|Row { key, .. }| {
        let ranks = (
            names::context_rank(&key.context),
            names::map_rank(&key.map),
            key.cpus,
            names::operation_rank(&key.operation),
        );
        // All unknown names have the same rank.
        (
            (ranks.0, key.context.clone()),
            (ranks.1, key.map.clone()),
            ranks.2,
            (ranks.3, key.operation.clone()),
            key.timers,
        )
    });
    Ok(rows)
}

fn shared(all: &Part<'_>) -> Result<Shared> {
    let part = all.part("shared")?;
    Ok(Shared {
        timers: part.count("timers")?,
        cpus: part.count("cpus")?,
        rust: part.figure("rust")?,
        c: part.figure("c")?,
    })
}

fn slow(all: &Part<'_>) -> Result<Slow> {
    let part = all.part("lateness")?;
    let grid = part.figure("grid")?;
    let mut lateness = Vec::new();
    for entry in part.list("series")? {
        let who = who("lateness", &entry)?;
        let cpu = entry.count("cpu")?;
        let entry = entry.named(format!("the lateness of {} on CPU {cpu}", who.name()));
        lateness.push(Series {
            who,
            cpu,
            expiries: entry.count("expiries")?,
            missed: entry.count("missed")?,
            quantiles: entry.quantiles("quantiles")?,
        });
    }
    for cpu in cpus(&lateness) {
        let of_cpu = lateness.iter().filter(|series| series.cpu == cpu);
        need_each(
            &format!("the lateness on CPU {cpu}"),
            of_cpu,
            &[Who::Rust, Who::C, Who::Hrtimer],
        )?;
    }

    let part = all.part("neighbour")?;
    let neighbour_timers = part.count("timers")?;
    let mut neighbour = Vec::new();
    for entry in part.list("series")? {
        let who = who("neighbour", &entry)?;
        let entry = entry.named(format!("the neighbour of {}", who.name()));
        neighbour.push(Series {
            who,
            cpu: 0,
            expiries: 0,
            missed: 0,
            quantiles: entry.quantiles("quantiles")?,
        });
    }
    need_each(
        "neighbour",
        neighbour.iter(),
        &[Who::Nobody, Who::Rust, Who::C, Who::Hrtimer],
    )?;

    Ok(Slow {
        grid,
        lateness,
        neighbour_timers,
        neighbour,
        memory: pair(&all.part("memory")?)?,
        free: pair(&all.part("free")?)?,
    })
}

fn pair(part: &Part<'_>) -> Result<Pair> {
    Ok(Pair {
        timers: part.count("timers")?,
        rust: part.figure("rust")?,
        c: part.figure("c")?,
    })
}

impl Who {
    /// The name in the JSON file.
    fn name(self) -> &'static str {
        match self {
            Who::Nobody => "none",
            Who::Rust => "rust",
            Who::C => "c",
            Who::Hrtimer => "hrtimer",
        }
    }
}

fn who(section: &str, part: &Part<'_>) -> Result<Who> {
    let name = part.text("who")?;
    let all = [Who::Nobody, Who::Rust, Who::C, Who::Hrtimer];
    match all.into_iter().find(|who| who.name() == name) {
        Some(who) => Ok(who),
        None => bail!("{section} has an unknown who, {name}"),
    }
}

/// Fails unless each of `wanted` has exactly one series.
fn need_each<'a>(
    what: &str,
    series: impl Iterator<Item = &'a Series> + Clone,
    wanted: &[Who],
) -> Result<()> {
    for who in wanted {
        match series.clone().filter(|series| series.who == *who).count() {
            0 => bail!("{what} has no series of {}", who.name()),
            1 => {}
            _ => bail!("{what} has two series of {}", who.name()),
        }
    }
    Ok(())
}

/// The CPUs that the series are of.
pub fn cpus(series: &[Series]) -> Vec<u64> {
    let mut cpus: Vec<u64> = series.iter().map(|series| series.cpu).collect();
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn error(change: impl FnOnce(&mut Value)) -> String {
        let mut value = sample::full();
        change(&mut value);
        match parse(&value.to_string()) {
            Ok(_) => String::new(),
            Err(err) => format!("{err:#}"),
        }
    }

    #[test]
    fn full_sample_is_complete() {
        let figures = parse(&sample::full().to_string()).unwrap();
        assert!(figures.slow.is_some());
        assert_eq!(figures.rows[0].key.context, "task");
    }

    #[test]
    fn lookup_is_not_shown() {
        let mut value = sample::full();
        value["instructions"][0]["operation"] = "lookup".into();
        let figures = parse(&value.to_string()).unwrap();
        assert!(figures.rows.iter().all(|row| row.key.operation != "lookup"));
    }

    #[test]
    fn other_format_is_refused() {
        assert_eq!(
            error(|value| value["format"] = 2.into()),
            "the figures have format 2, not 1"
        );
    }

    #[test]
    fn missing_figure_is_named() {
        assert_eq!(
            error(|value| value["instructions"][0]["c"] = Value::Null),
            "the figure c of init (array, task, 1000 timers, 1 CPU) is missing"
        );
        assert_eq!(
            error(|value| value["memory"]["rust"] = Value::Null),
            "the figure rust of memory is missing"
        );
    }

    #[test]
    fn negative_figure_is_refused() {
        assert_eq!(
            error(|value| value["instructions"][0]["rust"] = (-3.5).into()),
            "the figure rust of init (array, task, 1000 timers, 1 CPU) is -3.5, not above zero"
        );
    }

    #[test]
    fn missing_section_is_named_in_a_full_run() {
        for section in ["shared", "lateness", "neighbour", "memory", "free"] {
            assert_eq!(
                error(|value| value[section] = Value::Null),
                format!("the section {section} is missing")
            );
        }
    }

    #[test]
    fn missing_curve_is_named() {
        assert_eq!(
            error(|value| {
                value["lateness"]["series"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|series| series["who"] != "c" || series["cpu"] != 1);
            }),
            "the lateness on CPU 1 has no series of c"
        );
        assert_eq!(
            error(|value| value["neighbour"]["series"][0]["who"] = "rust".into()),
            "neighbour has no series of none"
        );
    }

    #[test]
    fn row_that_is_there_twice_is_refused() {
        assert_eq!(
            error(|value| value["instructions"][1] = value["instructions"][0].clone()),
            "init (array, task, 1000 timers, 1 CPU) is there twice"
        );
    }

    #[test]
    fn quick_run_needs_only_instructions_and_shared() {
        let value = sample::quick();
        assert!(value.get("memory").is_none());
        assert!(parse(&value.to_string()).unwrap().slow.is_none());
    }
}
