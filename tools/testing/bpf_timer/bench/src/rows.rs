// SPDX-License-Identifier: GPL-2.0

//! The tables of the page.

use crate::base::Base;
use crate::figures::{Figures, Row};
use crate::names;
use crate::table::heading;
use crate::text::{escaped, grouped};
use crate::verdict::Verdicts;
use std::fmt::Write;

/// All that was counted.
pub fn all(figures: &Figures, verdicts: &Verdicts<'_>, base: Option<&Base>) -> String {
    let mut out = String::from(
        "<details>\n<summary>All instructions, in numbers</summary>\n<div class=\"wide\"><table>\n\
         <tr><th>operation</th><th>timers</th><th>hrtimer</th><th>C</th><th>Rust</th>\
         <th>Rust/C</th><th>limit</th>",
    );
    let mut columns = 7;
    if base.is_some() {
        columns += 1;
        out += "<th>change</th>";
    }
    out += "</tr>\n";
    let mut group = None;
    for (i, row) in figures.rows.iter().enumerate() {
        if group != Some(row.key.group()) {
            group = Some(row.key.group());
            let heading = escaped(&heading(row));
            writeln!(
                out,
                "<tr><th class=\"group\" colspan=\"{columns}\">{heading}</th></tr>"
            )
            .unwrap();
        }
        let over = verdicts.is_over(i, row.ratio());
        out += &line(row, verdicts.rows[i], over, base);
    }
    out + "</table></div>\n</details>\n"
}

fn line(row: &Row, limit: Option<f64>, over: bool, base: Option<&Base>) -> String {
    let mut out = format!(
        "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{:.3}</td>\
         <td>{}{}</td>",
        if over { " class=\"bad\"" } else { "" },
        escaped(names::label(&row.key.operation)),
        grouped(row.key.timers),
        row.hrtimer.map_or("–".into(), |cost| format!("{cost:.1}")),
        row.c,
        row.rust,
        row.ratio(),
        limit.map_or("–".into(), |limit| format!("{limit:.2}")),
        if over { " exceeded" } else { "" },
    );
    if let Some(base) = base {
        let change = base.change(&row.key, row.rust);
        let text = change.map_or("new".into(), |change| {
            let mark = if change.is_worse() { " worse" } else { "" };
            format!("{:+.1} %{mark}", change.0)
        });
        write!(out, "<td>{text}</td>").unwrap();
    }
    out + "</tr>\n"
}

/// The limits, the figure that is nearest to each, and the reasons.
pub fn limits(verdicts: &Verdicts<'_>) -> String {
    if verdicts.limits.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<details>\n<summary>The limits, and why they are there</summary>\n<div class=\"wide\">\
         <table class=\"limits\">\n<tr><th>the figure nearest to the limit</th><th>figures</th>\
         <th>reason</th></tr>\n",
    );
    for verdict in &verdicts.limits {
        let over = verdict.over > 0;
        writeln!(
            out,
            "<tr{}><td>{}{}</td><td>{}</td><td>{}</td></tr>",
            if over { " class=\"bad\"" } else { "" },
            escaped(&verdict.sentence()),
            if over { ": exceeded" } else { "" },
            verdict.figures,
            escaped(&verdict.limit.reason)
        )
        .unwrap();
    }
    out + "</table></div>\n</details>\n"
}
