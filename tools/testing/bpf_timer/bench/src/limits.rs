// SPDX-License-Identifier: GPL-2.0

//! The file of limits: one a line, each with its reason.

use crate::figures::Key;
use anyhow::{anyhow, bail, Context, Result};
use std::path::Path;

pub struct Limit {
    pub line: usize,
    pub rule: Rule,
    pub limit: f64,
    pub reason: String,
}

pub enum Rule {
    /// Our instructions as a share of C's.
    Cost {
        place: Place,
        timers: Option<u64>,
        cpus: Option<u64>,
    },
    /// Our instructions with a million timers as a multiple of those with a thousand.
    Growth(Place),
    /// Our instructions with many CPUs as a multiple of those with one.
    Cpus(Place),
    /// Our starts as a multiple of C's: at least.
    Shared,
    /// Bytes.
    Memory,
    /// Seconds.
    Free,
}

/// An operation, map and context; `None` stands for any.
pub struct Place {
    operation: Option<String>,
    map: Option<String>,
    context: Option<String>,
}

impl Place {
    pub fn fits(&self, key: &Key) -> bool {
        let fits = |wanted: &Option<String>, name| wanted.as_ref().is_none_or(|w| w == name);
        fits(&self.operation, &key.operation)
            && fits(&self.map, &key.map)
            && fits(&self.context, &key.context)
    }
}

impl Limit {
    pub fn fits_cost(&self, key: &Key) -> bool {
        match &self.rule {
            Rule::Cost {
                place,
                timers,
                cpus,
            } => {
                place.fits(key)
                    && timers.is_none_or(|timers| timers == key.timers)
                    && cpus.is_none_or(|cpus| cpus == key.cpus)
            }
            _ => false,
        }
    }
}

pub fn read(path: &Path) -> Result<Vec<Limit>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    parse(&text).with_context(|| name.to_string())
}

pub fn parse(text: &str) -> Result<Vec<Limit>> {
    let mut limits = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let limit = parse_line(line).with_context(|| format!("line {}", i + 1))?;
            limits.push(Limit {
                line: i + 1,
                ..limit
            });
        }
    }
    Ok(limits)
}

fn parse_line(line: &str) -> Result<Limit> {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or("");
    let rule = match first {
        "growth" => Rule::Growth(place(words.next(), &mut words)?),
        "cpus" => Rule::Cpus(place(words.next(), &mut words)?),
        "shared" => Rule::Shared,
        "memory" => Rule::Memory,
        "free" => Rule::Free,
        operation => Rule::Cost {
            place: place(Some(operation), &mut words)?,
            timers: count(words.next(), "timers")?,
            cpus: count(words.next(), "CPUs")?,
        },
    };
    let limit = words.next().and_then(|word| word.parse().ok());
    let limit = limit.filter(|limit: &f64| limit.is_finite() && *limit > 0.0);
    let limit = limit.ok_or_else(|| anyhow!("the limit of {first} is not a number above zero"))?;
    let reason = words.collect::<Vec<_>>().join(" ");
    if reason.is_empty() {
        bail!("the limit of {first} has no reason");
    }
    Ok(Limit {
        line: 0,
        rule,
        limit,
        reason,
    })
}

fn place<'a>(
    operation: Option<&'a str>,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<Place> {
    Ok(Place {
        operation: pattern(operation, "operation")?,
        map: pattern(words.next(), "map")?,
        context: pattern(words.next(), "context")?,
    })
}

fn pattern(word: Option<&str>, what: &str) -> Result<Option<String>> {
    match word {
        Some("*") => Ok(None),
        Some(word) => Ok(Some(word.into())),
        None => bail!("the limit names no {what}"),
    }
}

fn count(word: Option<&str>, what: &str) -> Result<Option<u64>> {
    let Some(word) = pattern(word, what)? else {
        return Ok(None);
    };
    match word.parse() {
        Ok(count) => Ok(Some(count)),
        Err(_) => bail!("{word} is no number of {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn our_limits_are_understood() {
        assert!(parse(include_str!("../limits.txt")).unwrap().len() > 10);
    }

    #[test]
    fn limit_fits_its_rows() {
        let limits = parse("# text\n\ninit hash * 1000 * 1.05 it is so\n").unwrap();
        let limit = &limits[0];
        assert_eq!(
            (limit.line, limit.limit, &*limit.reason),
            (3, 1.05, "it is so")
        );
        assert!(limit.fits_cost(&sample::key("init", "hash", 1000, 8)));
        assert!(!limit.fits_cost(&sample::key("init", "array", 1000, 8)));
        assert!(!limit.fits_cost(&sample::key("init", "hash", 1, 8)));
        assert!(!limit.fits_cost(&sample::key("expiry", "hash", 1000, 8)));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| {
            parse(text)
                .err()
                .map_or("".into(), |err| format!("{err:#}"))
        };
        assert_eq!(
            error("shared 3.0"),
            "line 1: the limit of shared has no reason"
        );
        assert_eq!(
            error("shared much it is so"),
            "line 1: the limit of shared is not a number above zero"
        );
        assert_eq!(
            error("#\ninit array task many 1 1.0 it is so"),
            "line 2: many is no number of timers"
        );
        assert_eq!(error("init array"), "line 1: the limit names no context");
    }
}
