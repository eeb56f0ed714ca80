// SPDX-License-Identifier: GPL-2.0

//! Whether the figures are within the limits.

use crate::figures::{Figures, Key, Row};
use crate::limits::{Limit, Place, Rule};
use crate::text::grouped;
use anyhow::{bail, Result};

/// The counts of timers between which costs may grow.
const FEW: u64 = 1000;
const MANY: u64 = 1_000_000;

/// The result of one limit.
pub struct Verdict<'a> {
    pub limit: &'a Limit,
    /// How many figures the limit is about.
    pub figures: usize,
    pub over: usize,
    /// The figure that is nearest to the limit, or exceeds it most.
    pub worst: f64,
    /// The place of that figure.
    pub place: String,
}

pub struct Verdicts<'a> {
    pub limits: Vec<Verdict<'a>>,
    /// The limit of each row of the figures.
    pub rows: Vec<Option<f64>>,
}

impl Verdicts<'_> {
    pub fn held(&self) -> usize {
        self.limits.iter().filter(|limit| limit.over == 0).count()
    }

    pub fn all_held(&self) -> bool {
        self.held() == self.limits.len()
    }

    pub fn is_over(&self, row: usize, ratio: f64) -> bool {
        self.rows[row].is_some_and(|limit| ratio > limit)
    }
}

impl<'a> Verdict<'a> {
    /// Each of `figures` is a place and a value. The value must not be above the limit
    /// or, for `Rule::Shared`, not below it.
    fn new(limit: &'a Limit, figures: &[(String, f64)]) -> Self {
        let least = matches!(limit.rule, Rule::Shared);
        let excess = |value: f64| if least { -value } else { value };
        let over = |value: f64| excess(value) > excess(limit.limit);
        let worst = figures
            .iter()
            .max_by(|(_, a), (_, b)| excess(*a).total_cmp(&excess(*b)));
        let (place, worst) = worst.cloned().unwrap_or_default();
        Verdict {
            limit,
            figures: figures.len(),
            over: figures.iter().filter(|(_, value)| over(*value)).count(),
            worst,
            place,
        }
    }

    /// The name of what is limited, for a line of a table.
    pub fn name(&self) -> &'static str {
        match self.limit.rule {
            Rule::Cost { .. } => "cost",
            Rule::Growth(_) => "growth",
            Rule::Cpus(_) => "cpus",
            Rule::Shared => "shared",
            Rule::Memory => "memory",
            Rule::Free => "free",
        }
    }

    /// Names the figure that is nearest to the limit.
    pub fn sentence(&self) -> String {
        let (worst, limit) = (precise(self.worst), precise(self.limit.limit));
        match self.limit.rule {
            Rule::Cost { .. } => format!("{}: {worst} of C, at most {limit}", self.place),
            Rule::Growth(_) => format!(
                "{}: with 1 000 000 timers {worst} times the cost with 1 000, at most {limit}",
                self.place
            ),
            Rule::Cpus(_) => format!(
                "{}: with more CPUs {worst} times the cost with one, at most {limit}",
                self.place
            ),
            Rule::Shared => format!(
                "{} do {worst} times the starts of C, at least {limit}",
                self.place
            ),
            Rule::Memory => format!("a timer takes {worst} bytes, at most {limit}"),
            Rule::Free => format!("memory is back after {worst} s, at most {limit}"),
        }
    }
}

/// Names the row of a cost. It mentions the CPUs only if there are several.
fn cost_place(key: &Key) -> String {
    let plural = if key.timers == 1 { "" } else { "s" };
    let place = format!("{}, {} timer{plural}", key.place(), grouped(key.timers));
    match key.cpus {
        1 => place,
        cpus => format!("{place}, {cpus} CPUs"),
    }
}

/// Enough decimals to see that a limit is exceeded.
fn precise(value: f64) -> String {
    if value >= 9.9995 {
        return format!("{value:.1}");
    }
    let text = format!("{value:.3}");
    match text.strip_suffix('0') {
        Some(short) => short.into(),
        None => text,
    }
}

/// Fails if a full run has no figure for a limit.
pub fn judge<'a>(figures: &Figures, limits: &'a [Limit]) -> Result<Verdicts<'a>> {
    let of_row: Vec<Option<usize>> = figures
        .rows
        .iter()
        .map(|row| limits.iter().position(|limit| limit.fits_cost(&row.key)))
        .collect();
    let mut verdicts = Vec::new();
    let mut taken = Taken::default();
    for (i, limit) in limits.iter().enumerate() {
        let found = match &limit.rule {
            Rule::Cost { .. } => figures
                .rows
                .iter()
                .zip(&of_row)
                .filter(|(_, of_row)| **of_row == Some(i))
                .map(|(row, _)| (cost_place(&row.key), row.ratio()))
                .collect(),
            Rule::Growth(place) => growth(&figures.rows, place, &mut taken.growth),
            Rule::Cpus(place) => cpus(&figures.rows, place, &mut taken.cpus),
            Rule::Shared => {
                let shared = &figures.shared;
                vec![(format!("{} CPUs", shared.cpus), shared.rust / shared.c)]
            }
            Rule::Memory => slow(figures.slow.as_ref().map(|slow| slow.memory.rust)),
            Rule::Free => slow(figures.slow.as_ref().map(|slow| slow.free.rust)),
        };
        if !found.is_empty() {
            verdicts.push(Verdict::new(limit, &found));
        } else if figures.slow.is_some() {
            bail!(
                "no figure is left for the limit in line {} ({})",
                limit.line,
                limit.reason
            );
        }
    }
    Ok(Verdicts {
        limits: verdicts,
        rows: of_row
            .into_iter()
            .map(|limit| limit.map(|limit| limits[limit].limit))
            .collect(),
    })
}

/// The rows that already have a limit of growth, and a limit of CPUs.
#[derive(Default)]
struct Taken {
    growth: Vec<Key>,
    cpus: Vec<Key>,
}

fn slow(value: Option<f64>) -> Vec<(String, f64)> {
    value
        .map(|value| (String::new(), value))
        .into_iter()
        .collect()
}

fn growth(rows: &[Row], place: &Place, taken: &mut Vec<Key>) -> Vec<(String, f64)> {
    compare(rows, place, taken, |key| {
        (key.timers == MANY).then(|| Key {
            timers: FEW,
            ..key.clone()
        })
    })
}

fn cpus(rows: &[Row], place: &Place, taken: &mut Vec<Key>) -> Vec<(String, f64)> {
    compare(rows, place, taken, |key| {
        (key.cpus > 1).then(|| Key {
            cpus: 1,
            ..key.clone()
        })
    })
}

/// Our cost of each row in `place` as a multiple of our cost of its `other` row.
fn compare(
    rows: &[Row],
    place: &Place,
    taken: &mut Vec<Key>,
    other: impl Fn(&Key) -> Option<Key>,
) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| place.fits(&row.key)) {
        let base = other(&row.key).and_then(|key| rows.iter().find(|row| row.key == key));
        if let Some(base) = base.filter(|_| !taken.contains(&row.key)) {
            taken.push(row.key.clone());
            found.push((row.key.place(), row.rust / base.rust));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::parse;
    use crate::{limits, sample};

    fn full() -> Figures {
        parse(&sample::full().to_string()).unwrap()
    }

    #[test]
    fn sample_is_within_our_limits() {
        let limits = limits::parse(include_str!("../limits.txt")).unwrap();
        let figures = full();
        let verdicts = judge(&figures, &limits).unwrap();
        let over: Vec<_> = verdicts.limits.iter().filter(|v| v.over > 0).collect();
        assert!(over.is_empty(), "{}", over[0].sentence());
        assert_eq!(verdicts.held(), limits.len());
    }

    #[test]
    fn limit_of_nothing_is_an_error_in_a_full_run_only() {
        let limits = limits::parse("start_never * * * * 1.0 it is so").unwrap();
        assert_eq!(
            judge(&full(), &limits).err().unwrap().to_string(),
            "no figure is left for the limit in line 1 (it is so)"
        );
        let quick = parse(&sample::quick().to_string()).unwrap();
        assert!(judge(&quick, &limits).unwrap().limits.is_empty());
    }

    #[test]
    fn first_of_two_limits_counts() {
        let limits = limits::parse(
            "init * * * * 0.1 it is so\ninit array * * * 5 it is so\n* * * * * 5 it is so",
        );
        let limits = limits.unwrap();
        let err = judge(&full(), &limits).err().unwrap().to_string();
        assert!(err.contains("line 2"), "{err}");
    }

    #[test]
    fn row_over_its_limit_is_found() {
        let limits = limits::parse("init array task 1000 1 0.1 it is so").unwrap();
        let figures = full();
        let verdicts = judge(&figures, &limits).unwrap();
        assert_eq!(verdicts.held(), 0);
        let key = sample::key("init", "array", 1000, 1);
        let row = figures.rows.iter().position(|row| row.key == key);
        let row = row.unwrap();
        assert!(verdicts.is_over(row, figures.rows[row].ratio()));
        assert!(!verdicts.is_over(row, 0.1));
        assert_eq!(
            verdicts.limits[0].place,
            "make a timer in a task, array map, 1 000 timers"
        );
    }

    #[test]
    fn growth_and_cpus_are_compared() {
        let limits = limits::parse(
            "growth * * * 1.4 it is so\ncpus * * * 1.03 it is so\nshared 3.0 it is so\n\
             memory 128 it is so\nfree 3 it is so",
        );
        let limits = limits.unwrap();
        let over = |change: fn(&mut Figures)| {
            let mut figures = full();
            change(&mut figures);
            let verdicts = judge(&figures, &limits).unwrap();
            let over = verdicts.limits.iter().filter(|verdict| verdict.over > 0);
            over.map(Verdict::name).collect::<Vec<_>>()
        };
        assert!(over(|_| {}).is_empty());
        let many = |row: &&mut Row| row.key.timers == MANY;
        let more_cpus = |row: &&mut Row| row.key.cpus == 8;
        let mut figures = full();
        figures.rows.iter_mut().find(many).unwrap().rust *= 1.5;
        assert_eq!(judge(&figures, &limits).unwrap().limits[0].over, 1);
        let mut figures = full();
        figures.rows.iter_mut().find(more_cpus).unwrap().rust *= 1.1;
        assert_eq!(judge(&figures, &limits).unwrap().limits[1].over, 1);
        assert_eq!(over(|f| f.shared.rust = f.shared.c * 2.9), ["shared"]);
        assert_eq!(
            over(|f| f.slow.as_mut().unwrap().memory.rust = 128.5),
            ["memory"]
        );
        assert_eq!(over(|f| f.slow.as_mut().unwrap().free.rust = 3.1), ["free"]);
    }
}
