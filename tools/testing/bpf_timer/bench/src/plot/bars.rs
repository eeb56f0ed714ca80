// SPDX-License-Identifier: GPL-2.0

//! Horizontal bars, each below its label.

use super::{mark, svg, Area, Ink, WIDTH};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

const LEFT: i32 = 6;
const RIGHT: i32 = WIDTH as i32 - 6;
/// From one bar to the next.
const PITCH: i32 = 42;
/// The height of the label above a bar.
const LABEL: i32 = 20;
const BAR: i32 = 13;
const AXIS: i32 = 26;

pub struct Bar {
    pub label: String,
    pub value: f64,
    /// The value as it is written.
    pub text: String,
    pub ink: Ink,
    /// The value at which a marker for the hrtimer is.
    pub floor: Option<f64>,
}

/// Bars as shares of C, with a line where C is.
pub fn shares(name: &str, bars: &[Bar]) -> Result<String> {
    let values = bars.iter().flat_map(|bar| [Some(bar.value), bar.floor]);
    let max = values.flatten().fold(1.2, f64::max);
    let height = bars.len() as i32 * PITCH;
    svg((WIDTH, (height + AXIS) as u32), name, |area| {
        axis(area, max, height)?;
        each(area, bars, max)?;
        let x = position(1.0, max);
        for i in 0..bars.len() as i32 {
            let y = i * PITCH + LABEL;
            let line = vec![(x, y - 3), (x, y + BAR + 3)];
            area.draw(&PathElement::new(line, Ink::C.color().stroke_width(3)))?;
        }
        // The bars are above the line, which may go through them.
        for (i, bar) in bars.iter().enumerate() {
            if let Some(floor) = bar.floor {
                let y = i as i32 * PITCH + LABEL + BAR / 2;
                mark(area, Ink::Hrtimer, (position(floor, max), y), 6)?;
            }
        }
        Ok(())
    })
}

/// Bars from zero to the largest, without an axis: each says its value.
pub fn amounts(name: &str, bars: &[Bar]) -> Result<String> {
    let max = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let height = bars.len() as u32 * PITCH as u32;
    svg((WIDTH, height), name, |area| each(area, bars, max))
}

fn each(area: &Area<'_>, bars: &[Bar], max: f64) -> Result<()> {
    for (i, bar) in bars.iter().enumerate() {
        let y = i as i32 * PITCH;
        let left = Ink::Text.text(HPos::Left, VPos::Center);
        let right = Ink::Text.text(HPos::Right, VPos::Center);
        area.draw(&Text::new(bar.label.clone(), (LEFT, y + LABEL / 2), left))?;
        area.draw(&Text::new(bar.text.clone(), (RIGHT, y + LABEL / 2), right))?;
        let corners = [
            (LEFT, y + LABEL),
            (position(bar.value, max).max(LEFT + 1), y + LABEL + BAR),
        ];
        area.draw(&Rectangle::new(corners, bar.ink.color().filled()))?;
    }
    Ok(())
}

fn axis(area: &Area<'_>, max: f64, height: i32) -> Result<()> {
    let step = match max {
        max if max < 2.5 => 0.5,
        max if max < 5.0 => 1.0,
        max => (max / 4.0).ceil(),
    };
    for i in 0..=(max / step) as i32 {
        let value = f64::from(i) * step;
        let x = position(value, max);
        let line = vec![(x, 0), (x, height)];
        area.draw(&PathElement::new(line, Ink::Grid.color().stroke_width(1)))?;
        let h = if i == 0 { HPos::Left } else { HPos::Center };
        let label = match value {
            1.0 => "1 = C".into(),
            value => value.to_string(),
        };
        let style = Ink::Text.text(h, VPos::Center);
        area.draw(&Text::new(label, (x, height + AXIS / 2), style))?;
    }
    Ok(())
}

fn position(value: f64, max: f64) -> i32 {
    // A marker at the end needs room.
    LEFT + (value / max * f64::from(RIGHT - LEFT - 8)).round() as i32
}
