// SPDX-License-Identifier: GPL-2.0

//! Reads JSON, and says in a plain sentence what is missing in it.

use anyhow::{anyhow, bail, Context, Result};
use serde_json::Value;

/// A part of a JSON document and what a reader knows it by.
pub struct Part<'a> {
    value: &'a Value,
    name: String,
}

impl<'a> Part<'a> {
    pub fn new(value: &'a Value, name: &str) -> Self {
        Part {
            value,
            name: name.into(),
        }
    }

    /// The same part under a name that says more.
    pub fn named(self, name: String) -> Self {
        Part { name, ..self }
    }

    /// `None` if the part is absent or null.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    fn need(&self, key: &str) -> Result<&'a Value> {
        self.get(key)
            .ok_or_else(|| anyhow!("{key} of {} is missing", self.name))
    }

    pub fn part(&self, key: &str) -> Result<Part<'a>> {
        match self.get(key) {
            Some(value) => Ok(Part::new(value, key)),
            None => bail!("the section {key} is missing"),
        }
    }

    pub fn list(&self, key: &str) -> Result<Vec<Part<'a>>> {
        let list = self
            .need(key)?
            .as_array()
            .ok_or_else(|| anyhow!("{key} of {} is not a list", self.name))?;
        if list.is_empty() {
            bail!("{key} of {} is empty", self.name);
        }
        Ok(list
            .iter()
            .enumerate()
            .map(|(i, value)| Part::new(value, &format!("entry {} of {key}", i + 1)))
            .collect())
    }

    pub fn text(&self, key: &str) -> Result<&'a str> {
        self.need(key)?
            .as_str()
            .ok_or_else(|| anyhow!("{key} of {} is not a text", self.name))
    }

    pub fn flag(&self, key: &str) -> Result<bool> {
        self.need(key)?
            .as_bool()
            .ok_or_else(|| anyhow!("{key} of {} is neither true nor false", self.name))
    }

    pub fn count(&self, key: &str) -> Result<u64> {
        self.need(key)?
            .as_u64()
            .ok_or_else(|| anyhow!("{key} of {} is not a count", self.name))
    }

    /// A figure that is above zero.
    pub fn figure(&self, key: &str) -> Result<f64> {
        self.optional_figure(key)?
            .ok_or_else(|| anyhow!("the figure {key} of {} is missing", self.name))
    }

    /// The same; `None` if it is absent or null.
    pub fn optional_figure(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(figure) if figure > 0.0 => Ok(Some(figure)),
            _ => bail!(
                "the figure {key} of {} is {value}, not above zero",
                self.name
            ),
        }
    }

    /// Pairs of a share and nanoseconds, in which both grow.
    pub fn quantiles(&self, key: &str) -> Result<Vec<(f64, f64)>> {
        let mut quantiles = Vec::new();
        for pair in self.list(key)? {
            let pair = pair.value.as_array().map_or(&[][..], |pair| pair);
            let [share, ns] = pair else {
                bail!("the {key} of {} are not pairs", self.name);
            };
            let pair = share.as_f64().zip(ns.as_f64());
            let &(last_share, last_ns) = quantiles.last().unwrap_or(&(0.0, 0.0));
            match pair {
                Some((share, ns)) if share >= last_share && share <= 1.0 && ns >= last_ns => {
                    quantiles.push((share, ns));
                }
                _ => bail!(
                    "the {key} of {} have {share}, {ns} after {last_share}, {last_ns}",
                    self.name
                ),
            }
        }
        if quantiles.len() < 2 {
            bail!("the {key} of {} have only one point", self.name);
        }
        Ok(quantiles)
    }
}

pub fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(&without_nan(text)).context("this is not JSON")
}

/// JSON has no NaN, but Python writes it: it becomes null, a missing figure.
fn without_nan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let token = match c {
            '"' => quoted(rest),
            'A'..='Z' => rest.len() - rest.trim_start_matches(char::is_alphabetic).len(),
            _ => c.len_utf8(),
        };
        match &rest[..token] {
            "NaN" | "Infinity" => {
                // The sign of "-Infinity" is in `out` already.
                if out.ends_with('-') {
                    out.pop();
                }
                out.push_str("null");
            }
            other => out.push_str(other),
        }
        rest = &rest[token..];
    }
    out
}

/// The length of the string that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_null_outside_of_strings() {
        assert_eq!(
            without_nan(r#"{"NaN \" NaN": [NaN, -Infinity, "Infinity", true]}"#),
            r#"{"NaN \" NaN": [null, null, "Infinity", true]}"#
        );
    }

    #[test]
    fn quantiles_grow() {
        let read = |text| {
            let value = parse(text).unwrap();
            Part::new(&value, "lateness").quantiles("q")
        };
        assert_eq!(
            read(r#"{"q": [[0.5, 0], [1, 7]]}"#).unwrap(),
            [(0.5, 0.0), (1.0, 7.0)]
        );
        for bad in [
            r#"{"q": []}"#,
            r#"{"q": [[0.5, 8]]}"#,
            r#"{"q": [[0.5, 8], [1, 7]]}"#,
            r#"{"q": [[0.5, 8], [0.4, 9]]}"#,
            r#"{"q": [[0.5, 8], [1, NaN]]}"#,
            r#"{"q": [[0.5, 8], [2, 9]]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
