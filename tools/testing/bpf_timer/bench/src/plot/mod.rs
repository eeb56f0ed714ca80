// SPDX-License-Identifier: GPL-2.0

//! Plots as SVG, which take their colours and dashes from the style of the page.

pub mod bars;
pub mod curve;
pub mod growth;

use crate::figures::Who;
use crate::text::escaped;
use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The width of a plot. Plots are scaled: text must be legible at 400 and at 600 pixels.
const WIDTH: u32 = 480;
const FONT: f64 = 15.0;

#[derive(Clone, Copy)]
pub enum Ink {
    Rust,
    C,
    Hrtimer,
    Nobody,
    Text,
    Grid,
}

impl Ink {
    const ALL: [Ink; 6] = [
        Ink::Rust,
        Ink::C,
        Ink::Hrtimer,
        Ink::Nobody,
        Ink::Text,
        Ink::Grid,
    ];

    /// A colour that stands for the class until `styled` replaces it with the class.
    fn color(self) -> RGBColor {
        RGBColor(1, 2, self as u8)
    }

    pub fn class(self) -> &'static str {
        match self {
            Ink::Rust => "rust",
            Ink::C => "c",
            Ink::Hrtimer => "hrtimer",
            Ink::Nobody => "nobody",
            Ink::Text => "text",
            Ink::Grid => "grid",
        }
    }

    fn text(self, h: HPos, v: VPos) -> TextStyle<'static> {
        // The backend divides by this.
        let size = FONT * 1.24;
        ("sans-serif", size)
            .into_font()
            .color(&self.color())
            .pos(Pos::new(h, v))
    }
}

impl From<Who> for Ink {
    fn from(who: Who) -> Self {
        match who {
            Who::Nobody => Ink::Nobody,
            Who::Rust => Ink::Rust,
            Who::C => Ink::C,
            Who::Hrtimer => Ink::Hrtimer,
        }
    }
}

/// Marks a point. Each ink has its own shape, so that a reader needs no colours.
fn mark(area: &Area<'_>, ink: Ink, (x, y): (i32, i32), r: i32) -> Result<()> {
    let style = ink.color().filled();
    match ink {
        Ink::C => {
            let corners = [(x - r + 1, y - r + 1), (x + r - 1, y + r - 1)];
            area.draw(&Rectangle::new(corners, style))?;
        }
        Ink::Hrtimer => {
            let r = r + 1;
            let corners = vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)];
            area.draw(&Polygon::new(corners, style))?;
        }
        _ => area.draw(&Circle::new((x, y), r, style))?,
    }
    Ok(())
}

/// Returns the element of a page that `draw` draws. A screen reader reads `name`.
fn svg(size: (u32, u32), name: &str, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, size).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    Ok(styled(out, size, name))
}

fn styled(svg: String, (width, height): (u32, u32), name: &str) -> String {
    let name = escaped(name);
    let mut out = svg
        .replacen(
            &format!("<svg width=\"{width}\" height=\"{height}\""),
            &format!("<svg role=\"img\" aria-label=\"{name}\""),
            1,
        )
        .replace(" opacity=\"1\"", "")
        .replace(" font-family=\"sans-serif\"", "")
        .replace(" stroke=\"none\"", "");
    for ink in Ink::ALL {
        let RGBColor(r, g, b) = ink.color();
        for kind in ["fill", "stroke"] {
            out = out.replace(
                &format!("{kind}=\"#{r:02X}{g:02X}{b:02X}\""),
                &format!("class=\"{kind}-{}\"", ink.class()),
            );
        }
    }
    out
}

/// Round numbers on a logarithmic axis: powers of ten, and `between` them.
fn ticks(min: f64, max: f64, between: &[f64]) -> Vec<f64> {
    let first = min.log10().floor() as i32;
    let last = max.log10().ceil() as i32;
    let powers = (first..=last).map(|power| 10f64.powi(power));
    powers
        .flat_map(|power| std::iter::once(power).chain(between.iter().map(move |x| x * power)))
        // A power of ten is not exact.
        .filter(|tick| (min * 0.999..=max * 1.001).contains(tick))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_the_page_s() {
        let out = svg((100, 50), "a \"plot\"", |area| {
            for ink in Ink::ALL {
                area.draw(&PathElement::new(vec![(1, 1), (9, 9)], ink.color()))?;
                area.draw(&Text::new("x", (5, 5), ink.text(HPos::Left, VPos::Top)))?;
            }
            Ok(())
        })
        .unwrap();
        assert!(out.starts_with("<svg role=\"img\" aria-label=\"a &quot;plot&quot;\" viewBox="));
        assert!(!out.contains('#'), "{out}");
        for ink in Ink::ALL {
            assert!(out.contains(&format!("class=\"stroke-{}\"", ink.class())));
            assert!(out.contains(&format!("class=\"fill-{}\"", ink.class())));
        }
    }

    #[test]
    fn ticks_are_round_and_in_range() {
        assert_eq!(ticks(20.0, 1000.0, &[3.0]), [30.0, 100.0, 300.0, 1000.0]);
        assert_eq!(ticks(1000.0, 1e5, &[]), [1e3, 1e4, 1e5]);
    }
}
