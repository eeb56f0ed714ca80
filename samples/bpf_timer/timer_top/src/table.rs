// SPDX-License-Identifier: GPL-2.0

//! The lines that are shown: what happened between two looks, by map, program or CPU.

use crate::events::{Counts, Failure, Key, Snapshot, OPERATIONS};
use crate::list::Timers;
use crate::names::Names;
use anyhow::{bail, Error};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Map,
    Prog,
    Cpu,
}

impl FromStr for View {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "map" => Self::Map,
            "prog" => Self::Prog,
            "cpu" => Self::Cpu,
            _ => bail!("lines can be by map, prog or cpu, not by {text}"),
        })
    }
}

/// What a line says, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Id,
    Name,
    Kind,
    Timers,
    Armed,
    Expiries,
    Starts,
    Pushes,
    Cancels,
    Inits,
    Frees,
    LateP50,
    LateP99,
    LateMax,
    CallbackP50,
    CallbackP99,
    CallbackMax,
    Busy,
    Errors,
    Owner,
}

impl Column {
    pub const ALL: [(Self, &'static str, usize); 20] = [
        (Self::Id, "ID", 6),
        (Self::Name, "NAME", 15),
        (Self::Kind, "TYPE", 9),
        (Self::Timers, "TIMERS", 8),
        (Self::Armed, "ARMED", 8),
        (Self::Expiries, "EXPIRE/s", 8),
        (Self::Starts, "START/s", 8),
        (Self::Pushes, "PUSH/s", 8),
        (Self::Cancels, "CANCEL/s", 8),
        (Self::Inits, "INIT/s", 8),
        (Self::Frees, "FREE/s", 8),
        (Self::LateP50, "LATE50", 7),
        (Self::LateP99, "LATE99", 7),
        (Self::LateMax, "LATEMAX", 7),
        (Self::CallbackP50, "CALL50", 7),
        (Self::CallbackP99, "CALL99", 7),
        (Self::CallbackMax, "CALLMAX", 7),
        (Self::Busy, "CPU%", 5),
        (Self::Errors, "ERR/s", 6),
        (Self::Owner, "OWNER", 20),
    ];

    /// The columns from the most wanted one on: as many are shown as there is room for.
    const WANTED: [Self; 20] = [
        Self::Id,
        Self::Name,
        Self::Expiries,
        Self::Timers,
        Self::Armed,
        Self::Starts,
        Self::LateP99,
        Self::CallbackP99,
        Self::Errors,
        Self::Cancels,
        Self::Busy,
        Self::Pushes,
        Self::Owner,
        Self::LateMax,
        Self::LateP50,
        Self::Kind,
        Self::CallbackP50,
        Self::CallbackMax,
        Self::Inits,
        Self::Frees,
    ];

    /// Returns the columns for a terminal of so many characters, with their titles and widths.
    pub fn fitting(width: usize) -> Vec<(Self, &'static str, usize)> {
        let mut room = width;
        let mut fitting = Vec::new();
        for column in Self::WANTED {
            let (_, _, size) = Self::ALL[column as usize];
            if size + 1 > room {
                break;
            }
            room -= size + 1;
            fitting.push(Self::ALL[column as usize]);
        }
        fitting.sort_by_key(|(column, _, _)| *column as usize);
        fitting
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Name | Self::Kind | Self::Owner)
    }

    pub fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()].0
    }

    pub fn title(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl FromStr for Column {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = |title: &str| title.trim_end_matches("/s").to_lowercase();
        let found = Self::ALL
            .iter()
            .find(|(_, title, _)| plain(title) == text.to_lowercase());
        match found {
            Some((column, _, _)) => Ok(*column),
            None => {
                let all: Vec<_> = Self::ALL.iter().map(|(_, title, _)| plain(title)).collect();
                bail!("lines can be sorted by {}, not by {text}", all.join(", "))
            }
        }
    }
}

/// What is shown of a map, a program, or a CPU.
#[derive(Clone, Default)]
pub struct Line {
    pub id: u32,
    pub name: String,
    pub kind: String,
    pub owner: String,
    /// `None` if the timers cannot be counted.
    pub timers: Option<Timers>,
    pub counts: Counts,
    pub failures: BTreeMap<Failure, u64>,
}

/// All lines, and how long the time between the two looks was.
#[derive(Clone, Default)]
pub struct Table {
    pub lines: Vec<Line>,
    pub seconds: f64,
    pub lost: u64,
    pub total: Line,
}

/// What was seen at one look.
#[derive(Clone, Default)]
pub struct Look {
    pub snapshot: Snapshot,
    pub timers: BTreeMap<Key, Timers>,
}

impl Table {
    /// Returns what happened between two looks.
    pub fn between(
        before: &Look,
        now: &Look,
        time: Duration,
        view: View,
        names: &Names,
        is_listed: impl Fn(u32) -> bool,
    ) -> Self {
        let mut lines: BTreeMap<u32, Line> = BTreeMap::new();
        let mut total = Line {
            name: "all".into(),
            timers: Some(Timers::default()),
            ..Line::default()
        };
        for (key, counts) in &now.snapshot.counts {
            let old = before.snapshot.counts.get(key);
            for (cpu, counts) in counts.iter().enumerate() {
                let since = match old.and_then(|old| old.get(cpu)) {
                    Some(old) => counts.since(old),
                    None => counts.clone(),
                };
                total.counts.merge(&since);
                if let Some(id) = line_of(view, *key, cpu) {
                    lines.entry(id).or_default().counts.merge(&since);
                }
            }
        }
        for (key, failures) in &now.snapshot.failures {
            for (failure, count) in failures {
                let old = before
                    .snapshot
                    .failures
                    .get(key)
                    .and_then(|old| old.get(failure));
                let since = count.saturating_sub(*old.unwrap_or(&0));
                *total.failures.entry(*failure).or_default() += since;
                // The CPU of a failure is not known.
                if let (View::Map | View::Prog, Some(id)) = (view, line_of(view, *key, 0)) {
                    *lines
                        .entry(id)
                        .or_default()
                        .failures
                        .entry(*failure)
                        .or_default() += since;
                }
            }
        }
        for (key, timers) in &now.timers {
            if let Some(all) = &mut total.timers {
                all.merge(timers);
            }
            if let (View::Map | View::Prog, Some(id)) = (view, line_of(view, *key, 0)) {
                let line = lines.entry(id).or_default();
                line.timers
                    .get_or_insert_with(Timers::default)
                    .merge(timers);
            }
        }
        for (id, line) in &mut lines {
            line.id = *id;
            let name = match view {
                View::Map => names.map(*id),
                View::Prog => names.prog(*id),
                View::Cpu => {
                    line.name = format!("CPU {id}");
                    continue;
                }
            };
            line.name = name.name;
            line.kind = name.kind;
            line.owner = name.owners.into_iter().collect::<Vec<_>>().join(" ");
            if view == View::Map && line.timers.is_none() && is_listed(*id) {
                line.timers = Some(Timers::default());
            }
        }
        // A map or program that is gone is not shown once nothing is heard of it any more.
        let is_shown = |line: &Line| {
            line.counts.events() > 0 || line.timers.is_some_and(|timers| timers.timers > 0)
        };
        let lost = now.snapshot.lost.saturating_sub(before.snapshot.lost);
        Self {
            lines: lines.into_values().filter(is_shown).collect(),
            seconds: time.as_secs_f64(),
            lost,
            total,
        }
    }

    /// Keeps the lines that have `filter` somewhere, and sorts them.
    pub fn arrange(&mut self, filter: &str, sort: Column) {
        let filter = filter.to_lowercase();
        self.lines.retain(|line| {
            let texts = [&line.name, &line.kind, &line.owner];
            texts
                .iter()
                .any(|text| text.to_lowercase().contains(&filter))
        });
        if sort.is_text() {
            self.lines.sort_by_key(|line| line.cell(sort, self.seconds));
        } else {
            let value = |line: &Line| line.value(sort).unwrap_or(0.0);
            self.lines.sort_by(|a, b| value(b).total_cmp(&value(a)));
        }
    }

    pub fn to_json(&self, view: View) -> Value {
        json!({
            "seconds": self.seconds,
            "lost": self.lost,
            "by": format!("{view:?}").to_lowercase(),
            "lines": self.lines.iter().map(Line::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Returns the line that something counts for, if it does for any.
fn line_of(view: View, key: Key, cpu: usize) -> Option<u32> {
    match view {
        View::Map => (key.map != 0).then_some(key.map),
        View::Prog => (key.prog != 0).then_some(key.prog),
        View::Cpu => Some(cpu as u32),
    }
}

impl Line {
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Returns a figure: a count since the last look, or nanoseconds; `None` if there is none.
    pub fn value(&self, column: Column) -> Option<f64> {
        let counts = &self.counts;
        let count = match column {
            Column::Id => u64::from(self.id),
            Column::Timers => self.timers?.timers,
            Column::Armed => self.timers?.armed,
            Column::Expiries => counts.expiries,
            Column::Starts => counts.starts,
            Column::Pushes => counts.pushes,
            Column::Cancels => counts.cancels,
            Column::Inits => counts.inits,
            Column::Frees => counts.frees,
            Column::LateP50 => counts.late.quantile(0.5)?,
            Column::LateP99 => counts.late.quantile(0.99)?,
            Column::LateMax => Some(counts.longest_late).filter(|ns| *ns > 0)?,
            Column::CallbackP50 => counts.callback.quantile(0.5)?,
            Column::CallbackP99 => counts.callback.quantile(0.99)?,
            Column::CallbackMax => Some(counts.longest_callback).filter(|ns| *ns > 0)?,
            Column::Busy => counts.callback_ns,
            Column::Errors => self.failed(),
            Column::Name | Column::Kind | Column::Owner => return None,
        };
        Some(count as f64)
    }

    /// Returns what stands in a column.
    pub fn cell(&self, column: Column, seconds: f64) -> String {
        match column {
            Column::Name => self.name.clone(),
            Column::Kind => self.kind.clone(),
            Column::Owner => self.owner.clone(),
            _ => match self.value(column) {
                None => "-".into(),
                Some(value) => match column {
                    Column::Id | Column::Timers | Column::Armed => format!("{value:.0}"),
                    Column::Busy => format!("{:.1}", value / seconds / 1e7),
                    Column::LateP50
                    | Column::LateP99
                    | Column::LateMax
                    | Column::CallbackP50
                    | Column::CallbackP99
                    | Column::CallbackMax => time(value),
                    _ => format!("{:.0}", value / seconds),
                },
            },
        }
    }

    fn to_json(&self) -> Value {
        let failures = self.failures.iter().map(|(failure, count)| {
            json!({
                "operation": OPERATIONS.get(failure.operation),
                "code": failure.code,
                "count": count,
            })
        });
        let next = self.timers.and_then(|timers| timers.next);
        let ns = |column| self.value(column).map(|ns| ns as u64);
        json!({
            "id": self.id,
            "name": self.name,
            "type": self.kind,
            "owner": self.owner,
            "timers": self.timers.map(|timers| timers.timers),
            "armed": self.timers.map(|timers| timers.armed),
            "next_ns": next.map(|next| next.as_nanos() as u64),
            "inits": self.counts.inits,
            "starts": self.counts.starts,
            "pushes": self.counts.pushes,
            "cancels": self.counts.cancels,
            "cancelled": self.counts.cancelled,
            "expiries": self.counts.expiries,
            "frees": self.counts.frees,
            "freed_armed": self.counts.freed_armed,
            "late_p50_ns": ns(Column::LateP50),
            "late_p99_ns": ns(Column::LateP99),
            "late_max_ns": ns(Column::LateMax),
            "callback_ns": self.counts.callback_ns,
            "callback_p50_ns": ns(Column::CallbackP50),
            "callback_p99_ns": ns(Column::CallbackP99),
            "callback_max_ns": ns(Column::CallbackMax),
            "errors": failures.collect::<Vec<_>>(),
        })
    }
}

/// Returns a time in a unit that fits.
pub fn time(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.0}ns"),
        ..1e4 => format!("{:.1}us", ns / 1e3),
        ..1e6 => format!("{:.0}us", ns / 1e3),
        ..1e7 => format!("{:.1}ms", ns / 1e6),
        ..1e9 => format!("{:.0}ms", ns / 1e6),
        ..1e10 => format!("{:.1}s", ns / 1e9),
        _ => format!("{:.0}s", ns / 1e9),
    }
}

/// Returns the name of an error code, as programs see it.
pub fn code_name(code: i32) -> String {
    let errno = nix::errno::Errno::from_raw(-code);
    match errno {
        // cancel_async() says so of a callback that runs.
        nix::errno::Errno::EPERM if code == -1 => "-EPERM or running".into(),
        _ => format!("-{errno:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(map: u32, prog: u32, expiries: u64) -> Look {
        let mut look = Look::default();
        let counts = Counts {
            expiries,
            ..Counts::default()
        };
        let key = Key { map, prog };
        look.snapshot
            .counts
            .insert(key, vec![counts.clone(), counts]);
        let timers = Timers {
            timers: 3,
            armed: 2,
            ..Timers::default()
        };
        look.timers.insert(key, timers);
        look
    }

    fn table(view: View) -> Table {
        let names = Names::new();
        let second = Duration::from_secs(1);
        Table::between(
            &look(1, 2, 10),
            &look(1, 2, 15),
            second,
            view,
            &names,
            |_| true,
        )
    }

    #[test]
    fn lines_count_what_came_between_two_looks() {
        for (view, lines, expiries) in [
            (View::Map, 1, 10.0),
            (View::Prog, 1, 10.0),
            (View::Cpu, 2, 5.0),
        ] {
            let table = table(view);
            assert_eq!(table.lines.len(), lines);
            assert_eq!(table.lines[0].value(Column::Expiries), Some(expiries));
            assert_eq!(table.total.counts.expiries, 10);
        }
        assert_eq!(table(View::Map).lines[0].value(Column::Armed), Some(2.0));
        assert_eq!(table(View::Cpu).lines[0].value(Column::Armed), None);
    }

    #[test]
    fn columns_fit_the_width() {
        for width in [20, 80, 120, 200] {
            let columns = Column::fitting(width);
            let used: usize = columns.iter().map(|(_, _, width)| width + 1).sum();
            assert!(used <= width, "{used} of {width}");
        }
        assert_eq!(Column::fitting(250).len(), Column::ALL.len());
        for (i, (column, _, _)) in Column::ALL.iter().enumerate() {
            assert_eq!(*column as usize, i);
        }
    }

    #[test]
    fn filter_and_sort_arrange_the_lines() {
        let line = |name: &str, starts| Line {
            name: name.into(),
            counts: Counts {
                starts,
                ..Counts::default()
            },
            ..Line::default()
        };
        let mut table = Table {
            lines: vec![line("a", 1), line("Ab", 3), line("c", 9)],
            ..Table::default()
        };
        table.arrange("A", Column::Starts);
        let names: Vec<_> = table.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["Ab", "a"]);
        table.arrange("", Column::Name);
        assert_eq!(table.lines[0].name, "Ab");
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        for (ns, text) in [
            (5.0, "5ns"),
            (1500.0, "1.5us"),
            (2e6, "2.0ms"),
            (3e7, "30ms"),
            (6e10, "60s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }
}
