// SPDX-License-Identifier: GPL-2.0

//! The programs on the tracepoints of timers, and what they count.
//!
//! The layouts are the same as in `bpf/events.h`.

use crate::histogram::{Histogram, BUCKETS};
use crate::ids::Ids;
use anyhow::{bail, Context, Result};
use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{num_possible_cpus, MapCore, MapFlags, OpenObject, Program};
use nix::time::{clock_gettime, ClockId};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

mod skel {
    include!(concat!(env!("OUT_DIR"), "/events.skel.rs"));
}
use skel::{EventsSkel, EventsSkelBuilder};

const FIELDS: usize = 11;
const COUNTS_SIZE: usize = FIELDS * 8 + 2 * BUCKETS * 4;
pub const OPERATIONS: [&str; 3] = ["init", "start", "cancel"];

/// The ids of a map and of the program of a callback; 0 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub map: u32,
    pub prog: u32,
}

/// What happened to timers, on one CPU or on all.
#[derive(Clone, Default)]
pub struct Counts {
    pub inits: u64,
    pub starts: u64,
    pub pushes: u64,
    pub cancels: u64,
    pub cancelled: u64,
    pub expiries: u64,
    pub frees: u64,
    pub freed_armed: u64,
    pub callback_ns: u64,
    pub longest_late: u64,
    pub longest_callback: u64,
    pub late: Histogram,
    pub callback: Histogram,
}

impl Counts {
    fn decode(bytes: &[u8]) -> Self {
        let field = |i: usize| u64_at(bytes, i * 8);
        let histogram = |start: usize| {
            let mut histogram = Histogram::default();
            for bucket in 0..BUCKETS {
                let count = u32_at(bytes, start + bucket * 4);
                histogram.add(bucket, count);
            }
            histogram
        };
        Self {
            inits: field(0),
            starts: field(1),
            pushes: field(2),
            cancels: field(3),
            cancelled: field(4),
            expiries: field(5),
            frees: field(6),
            freed_armed: field(7),
            callback_ns: field(8),
            longest_late: field(9),
            longest_callback: field(10),
            late: histogram(FIELDS * 8),
            callback: histogram(FIELDS * 8 + BUCKETS * 4),
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.inits += other.inits;
        self.starts += other.starts;
        self.pushes += other.pushes;
        self.cancels += other.cancels;
        self.cancelled += other.cancelled;
        self.expiries += other.expiries;
        self.frees += other.frees;
        self.freed_armed += other.freed_armed;
        self.callback_ns += other.callback_ns;
        self.longest_late = self.longest_late.max(other.longest_late);
        self.longest_callback = self.longest_callback.max(other.longest_callback);
        self.late.merge(&other.late);
        self.callback.merge(&other.callback);
    }

    /// Returns what came since `before`; the longest times stay those of the whole run.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            inits: self.inits.saturating_sub(before.inits),
            starts: self.starts.saturating_sub(before.starts),
            pushes: self.pushes.saturating_sub(before.pushes),
            cancels: self.cancels.saturating_sub(before.cancels),
            cancelled: self.cancelled.saturating_sub(before.cancelled),
            expiries: self.expiries.saturating_sub(before.expiries),
            frees: self.frees.saturating_sub(before.frees),
            freed_armed: self.freed_armed.saturating_sub(before.freed_armed),
            callback_ns: self.callback_ns.saturating_sub(before.callback_ns),
            longest_late: self.longest_late,
            longest_callback: self.longest_callback,
            late: self.late.since(&before.late),
            callback: self.callback.since(&before.callback),
        }
    }

    /// Returns how many events this counts.
    pub fn events(&self) -> u64 {
        self.inits + self.starts + self.cancels + self.expiries + self.frees
    }
}

/// An operation, and the code that it failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    pub operation: usize,
    pub code: i32,
}

/// All counts since the programs were attached.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// By map and program, one for each CPU.
    pub counts: BTreeMap<Key, Vec<Counts>>,
    pub failures: BTreeMap<Key, BTreeMap<Failure, u64>>,
    /// Events that are not in the counts.
    pub lost: u64,
}

pub struct Events<'obj> {
    skel: EventsSkel<'obj>,
    skipped: u64,
}

impl<'obj> Events<'obj> {
    /// Loads the programs and attaches them. They are detached when this is dropped.
    pub fn attach(object: &'obj mut MaybeUninit<OpenObject>) -> Result<Self> {
        let mut open = EventsSkelBuilder::default().open(object)?;
        // Each entry has memory on each CPU.
        let cpus = num_possible_cpus().unwrap_or(1);
        let entries = (8192 / cpus as u32).clamp(128, 1024);
        open.maps.counts.set_max_entries(entries)?;
        open.maps.errors.set_max_entries(entries)?;
        let skel = open.load().context("the programs cannot be loaded")?;
        let mut events = Self { skel, skipped: 0 };
        events.tell_the_time();
        let attached = events.skel.attach();
        attached.context("the programs cannot be attached")?;
        Ok(events)
    }

    /// Reads all counts, and makes room in place of maps and programs that are gone.
    pub fn snapshot(&mut self, ids: &Ids) -> Result<Snapshot> {
        self.tell_the_time();
        let skipped = self.skipped();
        let mut snapshot = Snapshot::default();
        let maps = &self.skel.maps;
        let is_gone = |key: Key| {
            let gone = |id, all: &BTreeSet<u32>| id != 0 && !all.contains(&id);
            gone(key.map, &ids.maps) || gone(key.prog, &ids.progs)
        };
        for bytes in maps.counts.keys().collect::<Vec<_>>() {
            let Some(values) = maps.counts.lookup_percpu(&bytes, MapFlags::ANY)? else {
                continue;
            };
            let key = key_at(&bytes);
            let mut counts = Vec::with_capacity(values.len());
            for value in &values {
                if value.len() < COUNTS_SIZE {
                    bail!("the counts have another size than the program knows");
                }
                counts.push(Counts::decode(value));
            }
            snapshot.counts.insert(key, counts);
            if is_gone(key) {
                maps.counts.delete(&bytes)?;
            }
        }
        for bytes in maps.errors.keys().collect::<Vec<_>>() {
            let Some(values) = maps.errors.lookup_percpu(&bytes, MapFlags::ANY)? else {
                continue;
            };
            let key = key_at(&bytes);
            let failure = Failure {
                operation: u32_at(&bytes, 8) as usize,
                code: u32_at(&bytes, 12) as i32,
            };
            let count = values.iter().map(|value| u64_at(value, 0)).sum();
            let failures = snapshot.failures.entry(key).or_default();
            failures.insert(failure, count);
            if is_gone(key) {
                maps.errors.delete(&bytes)?;
            }
        }
        let lost = maps
            .lost
            .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?;
        let lost = lost.unwrap_or_default();
        snapshot.lost = lost.iter().map(|value| u64_at(value, 0)).sum::<u64>() + skipped;
        Ok(snapshot)
    }

    /// Tells the programs how far the clocks are apart.
    fn tell_the_time(&mut self) {
        let read = |clock| clock_gettime(clock).map_or(0, |time| Duration::from(time).as_nanos());
        let offset = read(ClockId::CLOCK_REALTIME) as i128 - read(ClockId::CLOCK_MONOTONIC) as i128;
        if let Some(bss) = self.skel.maps.bss_data.as_mut() {
            bss.real_offset = offset as i64;
        }
    }

    /// Returns the events that came while the program for them was at work on the same CPU.
    fn skipped(&mut self) -> u64 {
        let skipped = self.skel.object().progs().map(|prog| skips_of(&prog)).sum();
        // It does not go back, even if the kernel does not answer once.
        self.skipped = self.skipped.max(skipped);
        self.skipped
    }
}

/// Returns how often the kernel has skipped a program.
fn skips_of(prog: &Program<'_>) -> u64 {
    let mut info = sys::bpf_prog_info::default();
    let mut size = std::mem::size_of_val(&info) as u32;
    let fd = prog.as_fd().as_raw_fd();
    // SAFETY: Both are valid for writes, and `size` is the size of `info`.
    let ret = unsafe { sys::bpf_prog_get_info_by_fd(fd, &mut info, &mut size) };
    if ret == 0 {
        info.recursion_misses
    } else {
        0
    }
}

fn key_at(bytes: &[u8]) -> Key {
    Key {
        map: u32_at(bytes, 0),
        prog: u32_at(bytes, 4),
    }
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes
        .get(at..at + 4)
        .and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_ne_bytes)
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let field = bytes
        .get(at..at + 8)
        .and_then(|field| field.try_into().ok());
    field.map_or(0, u64::from_ne_bytes)
}
