// SPDX-License-Identifier: GPL-2.0

//! Compares our costs with the costs of an earlier run.

use crate::figures::{Figures, Key};
use std::collections::HashMap;

/// Changes up to this many percent are of no interest.
const SLACK: f64 = 2.0;

pub struct Base {
    pub commit: String,
    costs: HashMap<Key, f64>,
}

/// How our cost of a row has changed, in percent.
#[derive(Clone, Copy)]
pub struct Change(pub f64);

impl Base {
    pub fn new(figures: Figures) -> Self {
        Base {
            commit: figures.commit,
            costs: figures
                .rows
                .into_iter()
                .map(|row| (row.key, row.rust))
                .collect(),
        }
    }

    /// `None` if the base has no such row.
    pub fn change(&self, key: &Key, rust: f64) -> Option<Change> {
        let base = self.costs.get(key)?;
        Some(Change((rust / base - 1.0) * 100.0))
    }

    /// How many rows have become cheaper, and how many dearer.
    pub fn tally(&self, figures: &Figures) -> (usize, usize) {
        let changes = figures
            .rows
            .iter()
            .filter_map(|row| self.change(&row.key, row.rust));
        changes.fold((0, 0), |(better, worse), change| {
            (
                better + usize::from(change.is_better()),
                worse + usize::from(change.is_worse()),
            )
        })
    }
}

impl Change {
    pub fn is_better(self) -> bool {
        self.0 < -SLACK
    }

    pub fn is_worse(self) -> bool {
        self.0 > SLACK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::parse;
    use crate::sample;

    #[test]
    fn changes_above_two_percent_count() {
        let figures = || parse(&sample::full().to_string()).unwrap();
        let base = Base::new(figures());
        let mut now = figures();
        assert_eq!(base.tally(&now), (0, 0));
        now.rows[0].rust *= 1.019;
        now.rows[1].rust *= 1.021;
        now.rows[2].rust *= 0.9;
        now.rows[3].rust *= 0.95;
        now.rows[4].key.timers = 12345;
        now.rows[4].rust *= 2.0;
        assert_eq!(base.tally(&now), (2, 1));
        let change = base.change(&now.rows[2].key, now.rows[2].rust).unwrap();
        assert!((change.0 + 10.0).abs() < 1e-9);
        assert!(base.change(&now.rows[4].key, 1.0).is_none());
    }
}
