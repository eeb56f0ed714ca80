// SPDX-License-Identifier: GPL-2.0

//! Sentences that say what a plot shows, computed from its figures.

use crate::figures::{Pair, Row, Series, Shared, Slow, Who};
use crate::names;
use crate::text::{counted, figure, grouped, time};

/// The operations of one plot.
pub fn costs(rows: &[&Row]) -> String {
    let cheaper = rows.iter().filter(|row| row.rust < row.c).count();
    let by_ratio = |a: &&&Row, b: &&&Row| a.ratio().total_cmp(&b.ratio());
    let (Some(best), Some(worst)) = (rows.iter().min_by(by_ratio), rows.iter().max_by(by_ratio))
    else {
        return String::new();
    };
    let best_is = format!(
        "{} takes {} instructions, {} of C's {}",
        names::subject(&best.key.operation),
        figure(best.rust),
        ratio(best.ratio()),
        figure(best.c)
    );
    if rows.len() == 1 {
        return format!("{best_is}.");
    }
    format!(
        "{best_is}; of {} operations here, {} in Rust, and the one that compares worst, {}, takes \
         {} of C's.",
        rows.len(),
        match cheaper {
            0 => "none is cheaper".into(),
            1 => "one is cheaper".into(),
            n if n == rows.len() => "all are cheaper".into(),
            n => format!("{n} are cheaper"),
        },
        lower(names::subject(&worst.key.operation)),
        ratio(worst.ratio())
    )
}

/// The rows of one map, of each operation with several counts of timers.
pub fn growth(operations: &[Vec<&Row>]) -> String {
    let most = |cost: fn(&Row) -> f64| {
        let grown = operations.iter().filter_map(|rows| {
            let (few, many) = ends(rows)?;
            Some((cost(many) / cost(few), rows[0].key.operation.as_str()))
        });
        grown
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .unwrap_or((1.0, ""))
    };
    let counts = operations.iter().flatten().map(|row| row.key.timers);
    let (few, many) = (counts.clone().min(), counts.max());
    let (rust, operation) = most(|row| row.rust);
    let (c, of_c) = most(|row| row.c);
    format!(
        "From {} to {} timers, the cost of an operation grows at most {} times in Rust ({}) and {} \
         times in C ({}).",
        grouped(few.unwrap_or(0)),
        grouped(many.unwrap_or(0)),
        ratio(rust),
        names::label(operation),
        ratio(c),
        names::label(of_c)
    )
}

/// The rows with the fewest and the most timers.
fn ends<'a>(rows: &[&'a Row]) -> Option<(&'a Row, &'a Row)> {
    let few = rows.iter().min_by_key(|row| row.key.timers)?;
    let many = rows.iter().max_by_key(|row| row.key.timers)?;
    Some((few, many))
}

/// The lateness on one CPU.
pub fn lateness(slow: &Slow, cpu: u64) -> String {
    let of = |who| {
        let mut series = slow.lateness.iter();
        series.find(|series| series.who == who && series.cpu == cpu)
    };
    let missed = |who| of(who).map_or(0, |series| series.missed);
    format!(
        "On CPU {cpu}, half of {} ticks run within {} and 99 % within {} with Rust, {} and {} with \
         C, {} and {} with raw hrtimers; {}.",
        grouped(of(Who::Rust).map_or(0, |series| series.expiries)),
        at(of(Who::Rust), 0.5),
        at(of(Who::Rust), 0.99),
        at(of(Who::C), 0.5),
        at(of(Who::C), 0.99),
        at(of(Who::Hrtimer), 0.5),
        at(of(Who::Hrtimer), 0.99),
        match [Who::Rust, Who::C, Who::Hrtimer].map(missed) {
            [0, 0, 0] => "no tick is missed".into(),
            [rust, c, hrtimer] => format!("{rust}, {c} and {hrtimer} ticks are missed"),
        }
    )
}

pub fn neighbour(slow: &Slow) -> String {
    let of = |who| slow.neighbour.iter().find(|series| series.who == who);
    format!(
        "Beside {} timers a thread wakes up within {} in 99 % of all cases with Rust, {} with C \
         and {} with raw hrtimers; without timers it is {}.",
        grouped(slow.neighbour_timers),
        at(of(Who::Rust), 0.99),
        at(of(Who::C), 0.99),
        at(of(Who::Hrtimer), 0.99),
        at(of(Who::Nobody), 0.99)
    )
}

fn at(series: Option<&Series>, share: f64) -> String {
    time(series.map_or(0.0, |series| series.at(share)))
}

pub fn shared(shared: &Shared) -> String {
    format!(
        "{} that start the same {} timers do {} starts a second in Rust, {} times the {} of C.",
        counted(shared.cpus, "CPU"),
        shared.timers,
        grouped(shared.rust as u64),
        figure(shared.rust / shared.c),
        grouped(shared.c as u64)
    )
}

pub fn memory(memory: &Pair) -> String {
    format!(
        "With {} timers, a timer takes {} bytes in Rust, {} of the {} bytes in C.",
        grouped(memory.timers),
        figure(memory.rust),
        ratio(memory.rust / memory.c),
        figure(memory.c)
    )
}

pub fn free(free: &Pair) -> String {
    format!(
        "The memory of {} timers is back {} s after the last close of their map in Rust, and {} s \
         after it in C.",
        grouped(free.timers),
        figure(free.rust),
        figure(free.c)
    )
}

pub fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn row(operation: &str, rust: f64, c: f64, timers: u64) -> Row {
        Row {
            key: sample::key(operation, "array", timers, 1),
            rust,
            c,
            hrtimer: None,
        }
    }

    #[test]
    fn costs_name_best_and_worst() {
        let rows = [
            row("start_later", 118.2, 731.0, 1000),
            row("init", 352.0, 352.0, 1000),
        ];
        assert_eq!(
            costs(&rows.iter().collect::<Vec<_>>()),
            "Moving an armed timer to a later time takes 118 instructions, 0.16 of C's 731; of 2 \
             operations here, one is cheaper in Rust, and the one that compares worst, making a \
             timer, takes 1.00 of C's."
        );
        assert_eq!(
            costs(&[&rows[1]]),
            "Making a timer takes 352 instructions, 1.00 of C's 352."
        );
    }

    #[test]
    fn growth_names_what_grows_most() {
        let rows = [
            row("start_first", 100.0, 100.0, 1000),
            row("start_first", 120.0, 110.0, 1_000_000),
            row("init", 10.0, 10.0, 1000),
            row("init", 10.0, 15.0, 1_000_000),
        ];
        let operations = [vec![&rows[1], &rows[0]], vec![&rows[2], &rows[3]]];
        assert_eq!(
            growth(&operations),
            "From 1 000 to 1 000 000 timers, the cost of an operation grows at most 1.20 times in \
             Rust (start an idle timer) and 1.50 times in C (make a timer)."
        );
    }
}
