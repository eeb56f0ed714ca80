// SPDX-License-Identifier: GPL-2.0

//! The page: one file that needs no other.

use crate::base::Base;
use crate::figures::{cpus, Figures, Key, Pair, Row, Slow};
use crate::plot::bars::{amounts, shares, Bar};
use crate::plot::growth::Line;
use crate::plot::{curve, growth, Ink};
use crate::table::heading;
use crate::text::{escaped, figure, grouped};
use crate::verdict::Verdicts;
use crate::{names, rows, sentences};
use anyhow::Result;
use std::fmt::Write;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

pub fn page(figures: &Figures, verdicts: &Verdicts<'_>, base: Option<&Base>) -> Result<String> {
    let mut sections = costs(figures, verdicts)?;
    sections += &growths(figures)?;
    if let Some(slow) = &figures.slow {
        sections += &lateness(slow)?;
        sections += &neighbour(slow)?;
    }
    sections += &rest(figures)?;
    sections += &rows::all(figures, verdicts, base);
    sections += &rows::limits(verdicts);
    let machine = &figures.machine;
    let facts = format!(
        "Commit {}, {}, kernel {}, {} CPUs, {}",
        figures.commit, figures.date, machine.kernel, machine.cpus, machine.accelerator
    );
    Ok(TEMPLATE
        .replace("{style}", STYLE)
        .replace("{facts}", &escaped(&facts))
        .replace("{summary}", &summary(figures, verdicts, base))
        .replace("{sections}", &sections))
}

/// Says which limits are not held, and what a quick run leaves out.
fn summary(figures: &Figures, verdicts: &Verdicts<'_>, base: Option<&Base>) -> String {
    let (held, all) = (verdicts.held(), verdicts.limits.len());
    let mut out = match held == all {
        true => format!("<p>All {all} limits are held.</p>\n"),
        false => {
            format!("<p class=\"bad\">{held} of {all} limits are held. These are not:</p>\n<ul>\n")
        }
    };
    for verdict in verdicts.limits.iter().filter(|verdict| verdict.over > 0) {
        writeln!(out, "<li>{}</li>", escaped(&verdict.sentence())).unwrap();
    }
    if held < all {
        out += "</ul>\n";
    }
    if let Some(base) = base {
        let (better, worse) = base.tally(figures);
        writeln!(
            out,
            "<p>Since {}, {better} costs have become better and {worse} worse, by more than \
             2&nbsp;%.</p>",
            escaped(&base.commit)
        )
        .unwrap();
    }
    if figures.slow.is_none() {
        out += "<p>This was a quick run: it measured some of the operations, and neither \
                lateness nor memory.</p>\n";
    }
    out
}

fn section(title: &str, text: &str, legend: &str, class: &str, plots: &[String]) -> String {
    format!(
        "<section{class}>\n<h2>{title}</h2>\n<p>{text}</p>\n{legend}<div class=\"plots\">\n\
         {}</div>\n\
         </section>\n",
        plots.concat()
    )
}

/// A plot below its heading and the sentence that says what it shows.
fn plot(heading: &str, sentence: &str, svg: &str) -> String {
    format!(
        "<figure>\n<h3>{}</h3>\n<p>{}</p>\n{svg}</figure>\n",
        escaped(heading),
        escaped(sentence)
    )
}

fn legend(entries: &[(&str, &str)]) -> String {
    let entries = entries.iter().map(|(symbol, text)| {
        format!("<li><svg viewBox=\"0 0 36 14\" aria-hidden=\"true\">{symbol}</svg> {text}</li>\n")
    });
    format!(
        "<ul class=\"legend\">\n{}</ul>\n",
        entries.collect::<String>()
    )
}

const RUST_BAR: (&str, &str) = (
    r#"<rect class="fill-rust" x="2" y="2" width="32" height="10"/>"#,
    "Rust",
);
const C_MARK: (&str, &str) = (
    r#"<line class="stroke-c" stroke-width="3" x1="18" y1="0" x2="18" y2="14"/>"#,
    "C",
);
const HRTIMER_MARK: (&str, &str) = (
    r#"<polygon class="fill-hrtimer" points="18,0 25,7 18,14 11,7"/>"#,
    "raw hrtimer, the floor",
);
const LINES: [(&str, &str); 4] = [
    (
        r#"<line class="stroke-rust" stroke-width="3" x1="0" y1="7" x2="36" y2="7"/>"#,
        "Rust",
    ),
    (
        r#"<line class="stroke-c" stroke-width="3" x1="0" y1="7" x2="36" y2="7"/>"#,
        "C",
    ),
    (
        r#"<line class="stroke-hrtimer" stroke-width="3" x1="0" y1="7" x2="36" y2="7"/>"#,
        "raw hrtimer",
    ),
    (
        r#"<line class="stroke-nobody" stroke-width="3" x1="0" y1="7" x2="36" y2="7"/>"#,
        "no timers",
    ),
];

fn costs(figures: &Figures, verdicts: &Verdicts<'_>) -> Result<String> {
    let mut plots = Vec::new();
    for group in figures.rows.chunk_by(|a, b| a.key.group() == b.key.group()) {
        let shown = shown(group);
        let bars: Vec<Bar> = shown
            .iter()
            .map(|row| bar(row, figures, verdicts))
            .collect();
        let title = heading(&group[0]);
        let sentence = sentences::costs(&shown);
        plots.push(plot(&title, &sentence, &shares(&sentence, &bars)?));
    }
    Ok(section(
        "What an operation costs",
        "A bar shows the instructions of an operation as a share of C's: a shorter bar is better. \
         It is for 1&nbsp;000 timers unless it names another number.",
        &legend(&[RUST_BAR, C_MARK, HRTIMER_MARK]),
        " class=\"bars\"",
        &plots,
    ))
}

/// A bar shows the cost with so many timers unless its label names another number.
const TIMERS: u64 = 1000;

/// Returns one row of each operation: the one with 1000 timers, or else with the most.
fn shown(group: &[Row]) -> Vec<&Row> {
    let operations = group.chunk_by(|a, b| a.key.operation == b.key.operation);
    operations
        .filter_map(|rows| {
            let usual = rows.iter().find(|row| row.key.timers == TIMERS);
            usual.or(rows.last())
        })
        .collect()
}

fn bar(row: &Row, figures: &Figures, verdicts: &Verdicts<'_>) -> Bar {
    let Key {
        operation, timers, ..
    } = &row.key;
    let mut label = names::label(operation).to_string();
    if *timers != TIMERS {
        write!(label, " ({})", grouped(*timers)).unwrap();
    }
    let index = figures.rows.iter().position(|other| other.key == row.key);
    let over = index.is_some_and(|index| verdicts.is_over(index, row.ratio()));
    let mark = if over { ", over its limit" } else { "" };
    Bar {
        label,
        value: row.ratio(),
        text: format!("{}{mark}", sentences::ratio(row.ratio())),
        ink: Ink::Rust,
        floor: row.hrtimer.map(|hrtimer| hrtimer / row.c),
    }
}

/// A plot for each operation that was measured with several counts of timers.
fn growths(figures: &Figures) -> Result<String> {
    let mut out = String::new();
    for group in figures.rows.chunk_by(|a, b| a.key.group() == b.key.group()) {
        let operations: Vec<Vec<&Row>> = group
            .chunk_by(|a, b| a.key.operation == b.key.operation)
            .filter(|rows| rows.len() > 1)
            .map(|rows| rows.iter().collect())
            .collect();
        if operations.is_empty() {
            continue;
        }
        let lines: Vec<Vec<Line>> = operations.iter().map(|rows| growth_lines(rows)).collect();
        let range = growth::range(lines.iter().flatten());
        let mut plots = Vec::new();
        for (rows, lines) in operations.iter().zip(&lines) {
            let label = names::label(&rows[0].key.operation);
            let svg = growth::growth(label, lines, range)?;
            plots.push(format!(
                "<figure>\n{svg}<figcaption>{}</figcaption></figure>\n",
                escaped(label)
            ));
        }
        write!(
            out,
            "<h3>{}</h3>\n<p>{}</p>\n<div class=\"small plots\">\n{}</div>\n",
            escaped(&heading(&group[0])),
            escaped(&sentences::growth(&operations)),
            plots.concat()
        )
        .unwrap();
    }
    if out.is_empty() {
        return Ok(out);
    }
    let legend = legend(&[
        (
            r#"<line class="stroke-rust" stroke-width="2" x1="0" y1="7" x2="36" y2="7"/>
<circle class="fill-rust" cx="18" cy="7" r="5"/>"#,
            "Rust",
        ),
        (
            r#"<line class="stroke-c" stroke-width="2" x1="0" y1="7" x2="36" y2="7"/>
<rect class="fill-c" x="14" y="3" width="8" height="8"/>"#,
            "C",
        ),
        (
            r#"<line class="stroke-hrtimer" stroke-width="2" x1="0" y1="7" x2="36" y2="7"/>
<polygon class="fill-hrtimer" points="18,1 24,7 18,13 12,7"/>"#,
            "raw hrtimer",
        ),
    ]);
    Ok(format!(
        "<section>\n<h2>What more timers cost</h2>\n<p>A line shows the instructions of an \
         operation (upwards) against the number of timers (to the right), on logarithmic axes: a \
         flat line is best.</p>\n\
         {legend}{out}</section>\n"
    ))
}

fn growth_lines(rows: &[&Row]) -> Vec<Line> {
    let line = |ink, cost: fn(&Row) -> Option<f64>| Line {
        ink,
        points: rows
            .iter()
            .filter_map(|row| Some((row.key.timers, cost(row)?)))
            .collect(),
    };
    // Rust is last, above the others.
    let mut lines = vec![
        line(Ink::Hrtimer, |row| row.hrtimer),
        line(Ink::C, |row| Some(row.c)),
        line(Ink::Rust, |row| Some(row.rust)),
    ];
    lines.retain(|line| !line.points.is_empty());
    lines
}

fn lateness(slow: &Slow) -> Result<String> {
    let range = curve::range(slow.lateness.iter());
    let mut plots = Vec::new();
    for cpu in cpus(&slow.lateness) {
        let series = slow.lateness.iter().filter(|series| series.cpu == cpu);
        let sentence = sentences::lateness(slow, cpu);
        let svg = curve::curves(&sentence, &series.collect::<Vec<_>>(), range)?;
        plots.push(plot(&format!("CPU {cpu}"), &sentence, &svg));
    }
    let text = format!(
        "A timer expires again and again, once in {}. A curve shows the share of the callbacks \
         (upwards) that run at most so late (to the right): a curve further to the left is better.",
        crate::text::time(slow.grid)
    );
    let legend = legend(&LINES[..3]);
    Ok(section("How late timers are", &text, &legend, "", &plots))
}

fn neighbour(slow: &Slow) -> Result<String> {
    let sentence = sentences::neighbour(slow);
    let series: Vec<_> = slow.neighbour.iter().collect();
    let svg = curve::curves(&sentence, &series, curve::range(slow.neighbour.iter()))?;
    Ok(section(
        "What timers cost others",
        "Another thread sleeps and wakes up again and again beside the timers. A curve shows the \
         share of its wakeups (upwards) that are at most so late (to the right).",
        &legend(&LINES),
        "",
        &[plot("latency of another thread", &sentence, &svg)],
    ))
}

fn rest(figures: &Figures) -> Result<String> {
    let shared = &figures.shared;
    let mut plots = vec![pair(
        "starts on the same timers",
        &sentences::shared(shared),
        (shared.rust, shared.c),
        |value| format!("{} a second", grouped(value as u64)),
    )?];
    if let Some(slow) = &figures.slow {
        let Pair { rust, c, .. } = slow.memory;
        let sentence = sentences::memory(&slow.memory);
        plots.push(pair("memory of a timer", &sentence, (rust, c), |value| {
            format!("{} bytes", figure(value))
        })?);
        let Pair { rust, c, .. } = slow.free;
        let sentence = sentences::free(&slow.free);
        plots.push(pair("time to free all", &sentence, (rust, c), |value| {
            format!("{} s", figure(value))
        })?);
    }
    let (title, text) = match figures.slow {
        Some(_) => (
            "Shared timers, memory, and freeing",
            "More starts are better, and so are less memory and less time.",
        ),
        None => ("Shared timers", "More starts are better."),
    };
    Ok(section(title, text, "", "", &plots))
}

fn pair(
    title: &str,
    sentence: &str,
    (rust, c): (f64, f64),
    text: impl Fn(f64) -> String,
) -> Result<String> {
    let bar = |label: &str, value, ink| Bar {
        label: label.into(),
        value,
        text: text(value),
        ink,
        floor: None,
    };
    let bars = [bar("Rust", rust, Ink::Rust), bar("C", c, Ink::C)];
    Ok(plot(title, sentence, &amounts(sentence, &bars)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::parse;
    use crate::verdict::judge;
    use crate::{limits, sample};

    fn show(figures: &Figures, limits: &str, base: Option<&Base>) -> String {
        let limits = limits::parse(limits).unwrap();
        page(figures, &judge(figures, &limits).unwrap(), base).unwrap()
    }

    fn full() -> Figures {
        parse(&sample::full().to_string()).unwrap()
    }

    #[test]
    fn page_needs_no_other_file_and_no_script() {
        let html = show(&full(), "", None);
        for (at, _) in html.match_indices("http") {
            assert!(html[at..].starts_with("http://www.w3.org/2000/svg\""));
        }
        for word in [
            "<script", "<link", "<img", "url(", "@import", "{style}", "NaN",
        ] {
            assert!(!html.contains(word), "{word}");
        }
        assert!(html.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn each_section_is_there_in_a_full_run_only() {
        let titles = |html: &str| html.matches("<h2>").count();
        let full = show(&full(), "", None);
        let quick = parse(&sample::quick().to_string()).unwrap();
        let quick = show(&quick, "", None);
        assert_eq!(titles(&full), 5);
        assert_eq!(titles(&quick), 2);
        assert!(quick.contains("This was a quick run"));
        assert!(!full.contains("This was a quick run"));
    }

    #[test]
    fn limit_that_is_exceeded_is_named() {
        let bad = show(&full(), "init array task 1000 1 0.1 it is so", None);
        assert!(bad.contains("0 of 1 limits are held"));
        assert!(
            bad.contains("<li>make a timer in a task, array map, 1\u{a0}000 timers: 0.929 of C")
        );
        assert!(bad.contains(", over its limit"));
        let good = show(&full(), "init array task 1000 1 2.0 it is so", None);
        assert!(good.contains("All 1 limits are held"));
        assert!(!good.contains(", over its limit"));
    }

    #[test]
    fn names_are_escaped() {
        let mut figures = full();
        for row in &mut figures.rows {
            row.key.operation = "<b>".into();
        }
        figures.rows.truncate(1);
        assert!(!show(&figures, "", None).contains("<b>"));
    }

    #[test]
    fn changes_since_the_base_are_told() {
        let base = Base::new(full());
        let html = show(&full(), "", Some(&base));
        assert!(html.contains("0 costs have become better and 0 worse"));
        assert!(html.contains("<th>change</th>"));
    }
}
