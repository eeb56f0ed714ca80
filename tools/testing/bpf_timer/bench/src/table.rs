// SPDX-License-Identifier: GPL-2.0

//! The table on the terminal, at most 100 columns wide.

use crate::base::Base;
use crate::figures::{Figures, Row, Series, Slow, Who};
use crate::names;
use crate::text::{self, counted, figure, grouped};
use crate::verdict::{Verdict, Verdicts};
use std::fmt::Write;

/// The longest label of an operation.
pub const LABEL: usize = 30;

pub fn table(figures: &Figures, verdicts: &Verdicts<'_>, base: Option<&Base>) -> String {
    let mut out = format!(
        " {:LABEL$}{:>10}{:>9}{:>9}{:>9}{:>7}{:>6}",
        "instructions", "timers", "hrtimer", "C", "Rust", "Rust/C", "limit"
    );
    if base.is_some() {
        // This column comes after the marks of the limits.
        write!(out, "{:>13}", "change").unwrap();
    }
    out.push('\n');
    let mut group = None;
    for (i, row) in figures.rows.iter().enumerate() {
        if group != Some(row.key.group()) {
            group = Some(row.key.group());
            writeln!(out, "{}", heading(row)).unwrap();
        }
        let over = verdicts.is_over(i, row.ratio());
        let line = line(row, verdicts.rows[i], over, base);
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    let limits = verdicts.limits.iter().filter(|v| v.name() != "cost");
    let mut lines: Vec<(&str, String, bool)> = limits
        .map(|verdict| (verdict.name(), verdict.sentence(), verdict.over > 0))
        .collect();
    lines.extend(unlimited(figures, &verdicts.limits));
    for (name, sentence, over) in lines {
        let mark = if over { "OVER: " } else { "" };
        wrapped(&mut out, name, &format!("{mark}{sentence}"));
    }
    out
}

pub fn heading(row: &Row) -> String {
    let key = &row.key;
    let cpus = match key.cpus {
        1 => String::new(),
        cpus => format!(", {cpus} CPUs"),
    };
    format!(
        "{}, {}{cpus}",
        names::context(&key.context),
        names::map(&key.map)
    )
}

fn line(row: &Row, limit: Option<f64>, over: bool, base: Option<&Base>) -> String {
    let mut out = format!(
        " {:LABEL$.LABEL$}{:>10}{:>9}{:>9.1}{:>9.1}{:>7.3}{:>6}{}",
        names::label(&row.key.operation),
        grouped(row.key.timers),
        row.hrtimer.map_or("-".into(), |cost| format!("{cost:.1}")),
        row.c,
        row.rust,
        row.ratio(),
        limit.map_or("-".into(), |limit| format!("{limit:.2}")),
        if over { " OVER" } else { "     " },
    );
    if let Some(base) = base {
        out.push_str(&match base.change(&row.key, row.rust) {
            Some(change) => {
                let mark = if change.is_worse() { " worse" } else { "" };
                format!("{:>+7.1}%{mark}", change.0)
            }
            None => format!("{:>8}", "new"),
        });
    }
    out
}

/// The sections of a full run that no limit is about.
fn unlimited(figures: &Figures, limits: &[Verdict<'_>]) -> Vec<(&'static str, String, bool)> {
    let mut lines = Vec::new();
    let has = |name| limits.iter().any(|verdict| verdict.name() == name);
    if !has("shared") {
        let shared = &figures.shared;
        lines.push((
            "shared",
            format!(
                "{} CPUs do {} times the starts of C",
                shared.cpus,
                figure(shared.rust / shared.c)
            ),
            false,
        ));
    }
    let Some(slow) = &figures.slow else {
        lines.push(("quick", "the rest was not measured".into(), false));
        return lines;
    };
    if !has("memory") {
        let bytes = figure(slow.memory.rust);
        lines.push(("memory", format!("a timer takes {bytes} bytes"), false));
    }
    if !has("free") {
        let seconds = figure(slow.free.rust);
        lines.push(("free", format!("memory is back after {seconds} s"), false));
    }
    lines.push(("lateness", lateness(slow), false));
    let neighbour = latencies(&slow.neighbour, &[Who::Rust, Who::C, Who::Hrtimer]);
    let alone = latencies(&slow.neighbour, &[Who::Nobody]);
    let neighbour = format!("50 / 99 %: {neighbour}; without timers {alone}");
    lines.push(("neighbour", neighbour, false));
    lines
}

fn lateness(slow: &Slow) -> String {
    let missed: u64 = slow.lateness.iter().map(|series| series.missed).sum();
    let latencies = latencies(&slow.lateness, &[Who::Rust, Who::C, Who::Hrtimer]);
    format!("50 / 99 %: {latencies}; {} missed", counted(missed, "tick"))
}

/// The times that 50 and 99 % do not exceed, on the worst CPU.
fn latencies(series: &[Series], whose: &[Who]) -> String {
    let each = whose.iter().map(|who| {
        let at = |share: f64| {
            let of_who = series.iter().filter(|series| series.who == *who);
            of_who.map(|series| series.at(share)).fold(0.0, f64::max)
        };
        let name = match who {
            Who::Nobody => "",
            Who::Rust => "Rust ",
            Who::C => "C ",
            Who::Hrtimer => "hrtimer ",
        };
        format!("{name}{}", text::times(at(0.5), at(0.99)))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// A named sentence, on as many lines as it needs.
fn wrapped(out: &mut String, name: &str, sentence: &str) {
    const NAME: usize = 11;
    const WIDTH: usize = 100;
    write!(out, "{name:NAME$}").unwrap();
    let mut column = NAME;
    for (i, word) in sentence.split(' ').enumerate() {
        let length = word.chars().count();
        if i > 0 && column + 1 + length > WIDTH {
            write!(out, "\n{:NAME$}", "").unwrap();
            column = NAME;
        } else if i > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::parse;
    use crate::verdict::judge;
    use crate::{limits, sample};

    fn full() -> Figures {
        parse(&sample::full().to_string()).unwrap()
    }

    fn show(figures: &Figures, limits: &str, base: Option<&Base>) -> String {
        let limits = limits::parse(limits).unwrap();
        let out = table(figures, &judge(figures, &limits).unwrap(), base);
        for line in out.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        out
    }

    #[test]
    fn row_over_its_limit_is_marked() {
        let marked = |limits| {
            let out = show(&full(), limits, None);
            out.lines().filter(|line| line.contains("OVER")).count()
        };
        assert_eq!(marked("init array task 1000 1 2.0 it is so"), 0);
        assert_eq!(marked("init array task 1000 1 0.1 it is so"), 1);
        assert_eq!(marked("memory 100 it is so"), 1);
    }

    #[test]
    fn changes_are_shown() {
        let base = Base::new(full());
        let mut now = full();
        for row in &mut now.rows {
            row.rust *= 1.3;
        }
        now.rows[1].rust *= 0.5;
        now.rows[2].key.timers = 12345;
        let out = show(&now, "* * * * * 1.0 it is so", Some(&base));
        let rows: Vec<_> = out.lines().skip(2).collect();
        assert!(rows[0].ends_with("OVER  +30.0% worse"), "{}", rows[0]);
        assert!(rows[1].ends_with("-35.0%"), "{}", rows[1]);
        assert!(rows[2].ends_with("new"), "{}", rows[2]);
    }

    #[test]
    fn quick_run_says_so() {
        let figures = parse(&sample::quick().to_string()).unwrap();
        let out = show(&figures, "", None);
        assert!(out.contains("quick"));
        assert!(!out.contains("lateness"));
        assert!(show(&full(), "", None).contains("lateness"));
    }
}
