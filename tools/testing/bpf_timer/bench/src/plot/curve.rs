// SPDX-License-Identifier: GPL-2.0

//! Cumulative curves: the share of all events against how late they are.

use super::{svg, ticks, Ink, WIDTH};
use crate::figures::Series;
use crate::text;
use anyhow::Result;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

const HEIGHT: u32 = 280;

/// The range of times that plots beside each other have in common: whole powers of ten.
pub fn range<'a>(series: impl Iterator<Item = &'a Series>) -> (f64, f64) {
    let times = series.flat_map(|series| series.quantiles.iter().map(|(_, ns)| visible(*ns)));
    let (min, max) = times.fold((f64::MAX, 0f64), |(min, max), ns| {
        (min.min(ns), max.max(ns))
    });
    let power = |exponent: f64| 10f64.powf(exponent);
    let low = power(min.log10().floor());
    (low, power(max.log10().ceil()).max(low * 10.0))
}

pub fn curves(name: &str, series: &[&Series], (low, high): (f64, f64)) -> Result<String> {
    svg((WIDTH, HEIGHT), name, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(10)
            .margin_right(26)
            .x_label_area_size(26)
            .y_label_area_size(58)
            .build_cartesian_2d(
                (low..high * 1.001)
                    .log_scale()
                    .with_key_points(ticks(low, high, &[])),
                0f64..1.0,
            )?;
        chart
            .configure_mesh()
            .bold_line_style(Ink::Grid.color())
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Grid.color())
            .y_labels(6)
            .x_label_style(Ink::Text.text(HPos::Center, VPos::Top))
            .y_label_style(Ink::Text.text(HPos::Right, VPos::Center))
            .x_label_formatter(&|ns| text::time(ns.round()))
            .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
            .draw()?;
        for series in series {
            let ink = Ink::from(series.who);
            let points = series.quantiles.iter().map(|(p, ns)| (visible(*ns), *p));
            chart.draw_series(LineSeries::new(points, ink.color().stroke_width(3)))?;
        }
        Ok(())
    })
}

/// A logarithmic axis has no zero.
fn visible(ns: f64) -> f64 {
    ns.max(100.0)
}
