// SPDX-License-Identifier: GPL-2.0

//! Follows every record to its end and counts the ends.

use crate::cache::{now_ns, Cache, Entry, Expiry};
use crate::output::{ms, Output};
use crate::records::Record;
use anyhow::{bail, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often to look for evictions, which the ring buffer does not report.
const TICK: Duration = Duration::from_millis(100);
/// A record this much past its TTL will not be pruned any more.
const OVERDUE_NS: u64 = 5_000_000_000;

#[derive(Default)]
struct Tally {
    found: usize,
    inserted: usize,
    replaced: usize,
    expired: usize,
    evicted: usize,
    cancelled: usize,
    pending: usize,
    malformed: usize,
    worst_late_ns: Option<i64>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "summary: ")?;
        if self.found > 0 {
            write!(f, "found {}, ", self.found)?;
        }
        write!(f, "inserted {}, ", self.inserted)?;
        if self.replaced > 0 {
            write!(f, "replaced {}, ", self.replaced)?;
        }
        write!(f, "expired {}, evicted {}, ", self.expired, self.evicted)?;
        write!(
            f,
            "cancelled {}, still pending {}, ",
            self.cancelled, self.pending
        )?;
        match self.worst_late_ns {
            Some(late) => write!(f, "worst lateness {} ms, ", ms(late as f64))?,
            None => write!(f, "worst lateness none, ")?,
        }
        write!(f, "malformed lines {}", self.malformed)
    }
}

pub struct Watch<'obj> {
    cache: Cache<'obj>,
    output: Output,
    /// A name can come again, but not with the same deadline.
    pending: BTreeMap<(u64, String), Entry>,
    tally: Tally,
    unreported_before: u64,
    undeleted_before: u64,
}

impl<'obj> Watch<'obj> {
    pub fn new(cache: Cache<'obj>, output: Output, malformed: usize) -> Result<Self> {
        let troubles = cache.troubles()?;
        Ok(Self {
            cache,
            output,
            pending: BTreeMap::new(),
            tally: Tally {
                malformed,
                ..Tally::default()
            },
            unreported_before: troubles.unreported,
            undeleted_before: troubles.undeleted,
        })
    }

    /// Takes over the records of an earlier run.
    pub fn find(&mut self) -> Result<()> {
        let now_ns = now_ns()?;
        let entries = self.cache.list()?;
        self.output.line(format_args!(
            "found {} records of an earlier run",
            entries.len()
        ))?;
        if self.unreported_before > 0 {
            eprintln!(
                "dns_ttl: the ring buffer filled up with nobody to read it: {} expiries \
                 since the map was made cannot be shown",
                self.unreported_before
            );
        }
        for entry in entries {
            self.output.pending(&entry, now_ns)?;
            self.tally.found += 1;
            self.pending
                .insert((entry.deadline_ns, entry.name.clone()), entry);
        }
        self.settle()
    }

    /// Inserts the records; false if `stop` came first.
    pub fn insert(&mut self, records: &[Record], stop: &AtomicBool) -> Result<bool> {
        for record in records {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let (entry, replaced) = self.cache.insert(record)?;
            if replaced {
                self.tally.replaced += 1;
                self.pending.retain(|_, earlier| earlier.name != entry.name);
            }
            self.tally.inserted += 1;
            self.pending
                .insert((entry.deadline_ns, entry.name.clone()), entry);
            self.read_reports(&[])?;
        }
        if !records.is_empty() {
            self.output
                .line(format_args!("inserted {} records", records.len()))?;
        }
        Ok(true)
    }

    /// Watches until nothing is pending; false if `stop` came first.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<bool> {
        self.settle()?;
        let mut settled = Instant::now();
        while !self.pending.is_empty() {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            self.cache.wait(TICK)?;
            self.read_reports(&[])?;
            if settled.elapsed() < TICK {
                continue;
            }
            self.settle()?;
            settled = Instant::now();
            let now_ns = now_ns()?;
            if let Some(entry) = self.pending.values().next() {
                if entry.deadline_ns + OVERDUE_NS < now_ns {
                    bail!(
                        "the timer of {} has not fired, {} ms after its TTL: \
                         the kernel's log may say why (dmesg)",
                        entry.name,
                        ms((now_ns - entry.deadline_ns) as f64)
                    );
                }
            }
        }
        Ok(true)
    }

    /// Brings the tally up to date. The callback reports before it deletes, so a record
    /// that is missing and not reported afterwards was evicted.
    pub fn settle(&mut self) -> Result<()> {
        let mut gone = Vec::new();
        for (id, entry) in &self.pending {
            if !self.cache.holds(entry)? {
                gone.push(id.clone());
            }
        }
        self.read_reports(&gone)?;
        let now_ns = now_ns()?;
        for id in gone {
            if let Some(entry) = self.pending.remove(&id) {
                self.tally.evicted += 1;
                self.output.evicted(&entry, now_ns)?;
            }
        }
        Ok(())
    }

    /// Deletes the pending records and their timers.
    pub fn cancel(&mut self) -> Result<()> {
        let mut deleted = Vec::new();
        for (id, entry) in &self.pending {
            if self.cache.delete(entry)? {
                deleted.push(id.clone());
            }
        }
        // Some may have expired just before.
        self.read_reports(&deleted)?;
        let now_ns = now_ns()?;
        for id in deleted {
            if let Some(entry) = self.pending.remove(&id) {
                self.tally.cancelled += 1;
                self.output.cancelled(&entry, now_ns)?;
            }
        }
        self.settle()
    }

    /// Prints what went wrong, and the summary as the last line. Returns false if
    /// expired records are left in the map.
    pub fn finish(mut self) -> Result<bool> {
        self.tally.pending = self.pending.len();
        let troubles = self.cache.troubles()?;
        let unreported = troubles.unreported - self.unreported_before;
        if unreported > 0 {
            eprintln!(
                "dns_ttl: the ring buffer was full: {unreported} of the records \
                 that count as evicted did expire"
            );
        }
        let undeleted = troubles.undeleted - self.undeleted_before;
        if undeleted > 0 {
            let err = nix::errno::Errno::from_raw(-troubles.delete_err);
            eprintln!("dns_ttl: {undeleted} expired records could not be deleted: {err}");
        }
        self.output.line(&self.tally)?;
        Ok(undeleted == 0)
    }

    /// Reads the ring buffer, until it is empty if any of `wanted` is pending.
    fn read_reports(&mut self, wanted: &[(u64, String)]) -> Result<()> {
        loop {
            for expiry in self.cache.expiries()? {
                self.expired(expiry)?;
            }
            let missing = wanted.iter().any(|id| self.pending.contains_key(id));
            if !missing || !self.cache.unread()? {
                return Ok(());
            }
            thread::yield_now();
        }
    }

    fn expired(&mut self, Expiry { entry, now_ns }: Expiry) -> Result<()> {
        let late_ns = now_ns.wrapping_sub(entry.deadline_ns) as i64;
        if self
            .pending
            .remove(&(entry.deadline_ns, entry.name.clone()))
            .is_none()
        {
            // It expired between two runs, with nobody watching.
            self.tally.found += 1;
        }
        self.tally.expired += 1;
        self.tally.worst_late_ns = self.tally.worst_late_ns.max(Some(late_ns));
        self.output.expired(&entry, late_ns)
    }
}
