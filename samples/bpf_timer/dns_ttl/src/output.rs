// SPDX-License-Identifier: GPL-2.0

//! The table: a line for each thing that happens to a record.

use crate::cache::Entry;
use anyhow::{Context, Result};
use std::fmt::{Arguments, Display};
use std::io::{self, IsTerminal, Write};

const PLAIN: &str = "";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

pub struct Output {
    colour: bool,
}

impl Output {
    pub fn new() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: io::stdout().is_terminal() && !no_colour,
        }
    }

    pub fn pending(&self, entry: &Entry, now_ns: u64) -> Result<()> {
        let left = entry.deadline_ns as f64 - now_ns as f64;
        self.row(DIM, "pending", entry, format_args!("left {} ms", ms(left)))
    }

    pub fn expired(&self, entry: &Entry, late_ns: i64) -> Result<()> {
        let late = ms(late_ns as f64);
        self.row(GREEN, "expired", entry, format_args!("late {late} ms"))
    }

    /// The kernel does not report evictions: `now_ns` is when the record was missed.
    pub fn evicted(&self, entry: &Entry, now_ns: u64) -> Result<()> {
        let left = (entry.deadline_ns as f64 - now_ns as f64).max(0.0);
        self.row(RED, "evicted", entry, format_args!("left {} ms", ms(left)))
    }

    pub fn cancelled(&self, entry: &Entry, now_ns: u64) -> Result<()> {
        let left = (entry.deadline_ns as f64 - now_ns as f64).max(0.0);
        self.row(
            PLAIN,
            "cancelled",
            entry,
            format_args!("left {} ms", ms(left)),
        )
    }

    pub fn line(&self, line: impl Display) -> Result<()> {
        writeln!(io::stdout(), "{line}").context("the table cannot be written")
    }

    fn row(&self, colour: &str, what: &str, entry: &Entry, tail: Arguments<'_>) -> Result<()> {
        let (on, off) = if self.colour {
            (colour, RESET)
        } else {
            ("", "")
        };
        self.line(format_args!(
            "{on}{what:<9}{off}  {:<24}  {:<20}  ttl {:>5} ms  {tail}",
            entry.name,
            entry.address.to_string(),
            entry.ttl.as_millis(),
        ))
    }
}

/// Nanoseconds in milliseconds.
pub fn ms(ns: f64) -> String {
    format!("{:.1}", ns / 1e6)
}
