// SPDX-License-Identifier: GPL-2.0

//! The cost of an operation against the number of timers, small.

use super::{mark, svg, ticks, Ink};
use crate::text;
use anyhow::Result;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

const SIZE: (u32, u32) = (280, 180);

pub struct Line {
    pub ink: Ink,
    /// Timers and cost.
    pub points: Vec<(u64, f64)>,
}

/// The range of costs that plots beside each other have in common.
pub fn range<'a>(lines: impl Iterator<Item = &'a Line>) -> (f64, f64) {
    let costs = lines.flat_map(|line| line.points.iter().map(|(_, cost)| *cost));
    let (min, max) = costs.fold((f64::MAX, 0f64), |(min, max), cost| {
        (min.min(cost), max.max(cost))
    });
    (min / 1.3, max * 1.3)
}

/// The label of a count; none if the next one is so near that they would overlap.
fn label(count: u64, counts: &[u64]) -> String {
    let (first, last) = (counts[0] as f64, counts[counts.len() - 1] as f64);
    let next = counts.iter().find(|next| **next > count);
    let gap = |next: &u64| (*next as f64 / count as f64).ln() / (last / first).ln();
    match next {
        Some(next) if gap(next) < 0.25 => String::new(),
        _ => text::short(count),
    }
}

pub fn growth(name: &str, lines: &[Line], (low, high): (f64, f64)) -> Result<String> {
    let mut counts: Vec<u64> = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|(count, _)| *count))
        .collect();
    counts.sort_unstable();
    counts.dedup();
    let (first, last) = (counts[0] as f64, counts[counts.len() - 1] as f64);
    let costs = ticks(low, high, &[3.0]);
    svg(SIZE, name, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(8)
            .margin_right(22)
            .x_label_area_size(24)
            .y_label_area_size(52)
            .build_cartesian_2d(
                (first..last * 1.001)
                    .log_scale()
                    .with_key_points(counts.iter().map(|count| *count as f64).collect()),
                (low..high).log_scale().with_key_points(costs),
            )?;
        chart
            .configure_mesh()
            .bold_line_style(Ink::Grid.color())
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Grid.color())
            .x_label_style(Ink::Text.text(HPos::Center, VPos::Top))
            .y_label_style(Ink::Text.text(HPos::Right, VPos::Center))
            .x_label_formatter(&|count| label(*count as u64, &counts))
            .y_label_formatter(&|cost| text::figure(*cost))
            .draw()?;
        for Line { ink, points } in lines {
            let points = || points.iter().map(|(count, cost)| (*count as f64, *cost));
            chart.draw_series(LineSeries::new(points(), ink.color().stroke_width(2)))?;
            for point in points() {
                mark(area, *ink, chart.backend_coord(&point), 4)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_overlap() {
        let labels = |counts: &[u64]| {
            let labels = counts.iter().map(|count| label(*count, counts));
            labels.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(&[1000, 100_000, 1_000_000]), "1k 100k 1M");
        assert_eq!(labels(&[1, 1000, 100_000, 1_000_000]), "1 1k  1M");
    }
}
