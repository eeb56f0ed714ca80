// SPDX-License-Identifier: GPL-2.0

//! The timers that there are, as walks over their maps find them.
//!
//! The layouts are the same as in `bpf/list.h`.

use crate::btf::timer_offset;
use crate::events::{u32_at, u64_at, Key};
use crate::ids::Ids;
use anyhow::{bail, Context, Result};
use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{MapCore, MapFlags, MapHandle, ObjectBuilder};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The object of `bpf/list.bpf.c`. There is no skeleton for it, since the map that takes the place
/// of another one keeps its own name.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/list.bpf.o"));

const FOUND_SIZE: usize = 32;
const PROGS: usize = 64;

/// The timers of a map with callbacks of one program, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timers {
    pub timers: u64,
    pub armed: u64,
    pub running: u64,
    /// When the next one expires, from now.
    pub next: Option<Duration>,
}

impl Timers {
    pub fn merge(&mut self, other: &Self) {
        self.timers += other.timers;
        self.armed += other.armed;
        self.running += other.running;
        self.next = [self.next, other.next].into_iter().flatten().min();
    }
}

/// A program that walks over one map.
///
/// It refers to the map, but is no user of it: when the last user goes, the kernel frees the timers
/// of the map as ever. The memory of the map stays until this is dropped.
struct Walk {
    prog: OwnedFd,
    /// The map in which the program leaves what it has found.
    result: MapHandle,
    found: Vec<(u32, Timers)>,
}

/// What is known of a map.
enum State {
    /// Nothing yet.
    New,
    /// Its values have no timers.
    Without,
    /// It had no timers, or could not be walked.
    Empty,
    Walked(Walk),
}

/// All maps, by id, with the time of the last visit.
pub struct List {
    maps: BTreeMap<u32, (Instant, State)>,
    /// The time that visits may still take.
    credit: Duration,
    last: Instant,
}

/// Visits may take one part in so many of the time.
const SHARE: u32 = 50;
/// What may be left over for later, so that the first look finds many maps.
const MAX_CREDIT: Duration = Duration::from_millis(500);
/// A map without timers is visited again after that time.
const EMPTY_FOR: Duration = Duration::from_secs(5);

impl List {
    pub fn new() -> Self {
        Self {
            maps: BTreeMap::new(),
            credit: MAX_CREDIT,
            last: Instant::now(),
        }
    }

    /// Visits maps, the longest unvisited first, for as long as that may take.
    pub fn refresh(&mut self, ids: &Ids) -> BTreeMap<Key, Timers> {
        let now = Instant::now();
        self.credit = MAX_CREDIT.min(self.credit + (now - self.last) / SHARE);
        self.last = now;
        self.maps.retain(|id, _| ids.maps.contains(id));
        for id in &ids.maps {
            self.maps.entry(*id).or_insert((now, State::New));
        }
        let mut due: Vec<_> = self.maps.iter_mut().collect();
        due.retain(|(_, (last, state))| match state {
            State::Without => false,
            State::Empty => now > *last + EMPTY_FOR,
            State::New | State::Walked(_) => true,
        });
        due.sort_by_key(|(_, (last, state))| (!matches!(state, State::New), *last));
        for (id, (last, state)) in due {
            if self.credit.is_zero() {
                break;
            }
            let begin = Instant::now();
            state.visit(*id);
            *last = begin;
            self.credit = self.credit.saturating_sub(begin.elapsed());
        }
        self.found()
    }

    fn found(&self) -> BTreeMap<Key, Timers> {
        let mut all = BTreeMap::new();
        for (id, (_, state)) in &self.maps {
            if let State::Walked(walk) = state {
                for (prog, timers) in &walk.found {
                    let key = Key {
                        map: *id,
                        prog: *prog,
                    };
                    all.insert(key, *timers);
                }
            }
        }
        all
    }

    /// Returns whether the timers of a map are counted.
    pub fn has(&self, map: u32) -> bool {
        let state = self.maps.get(&map).map(|(_, state)| state);
        matches!(state, Some(State::Empty | State::Walked(_)))
    }
}

impl State {
    /// Counts the timers of a map.
    fn visit(&mut self, id: u32) {
        let visited = match std::mem::replace(self, Self::Empty) {
            Self::Walked(walk) => walk.run(),
            _ => match Walk::new(id) {
                Ok(Some(walk)) => walk.run(),
                Ok(None) => {
                    *self = Self::Without;
                    return;
                }
                Err(err) => Err(err),
            },
        };
        if let Ok(walk) = visited {
            // Otherwise, the program and the map go.
            if !walk.found.is_empty() {
                *self = Self::Walked(walk);
            }
        }
    }
}

impl Walk {
    /// Loads the program for the map; `None` if the map has no timers.
    fn new(id: u32) -> Result<Option<Self>> {
        let map = MapHandle::from_map_id(id)?;
        let Some(offset) = timer_offset(&map) else {
            return Ok(None);
        };
        let mut open = ObjectBuilder::default()
            .name("list")?
            .open_memory(PROGRAM)?;
        for mut place in open.maps_mut() {
            if place.name() == "target" {
                place.reuse_fd(map.as_fd())?;
            } else if is_section(place.name(), ".rodata") {
                let constants = place.initial_value_mut();
                let constants = constants.context("the program has no constants")?;
                constants[..4].copy_from_slice(&offset.to_ne_bytes());
            }
        }
        // The object has the map open, so it is dropped at the end.
        let object = open.load()?;
        let prog = object.progs().find(|prog| prog.name() == "walk");
        let result = object.maps().find(|map| is_section(map.name(), ".bss"));
        Ok(Some(Self {
            prog: prog.context("no program")?.as_fd().try_clone_to_owned()?,
            result: MapHandle::try_from(&result.context("no result")?)?,
            found: Vec::new(),
        }))
    }

    fn run(mut self) -> Result<Self> {
        let mut opts = sys::bpf_test_run_opts {
            sz: size_of::<sys::bpf_test_run_opts>() as _,
            ..Default::default()
        };
        // SAFETY: The options are valid, and name no other memory.
        let ret = unsafe { sys::bpf_prog_test_run_opts(self.prog.as_raw_fd(), &mut opts) };
        if ret != 0 {
            bail!("the walk cannot be run");
        }
        let bytes = self.result.lookup(&0u32.to_ne_bytes(), MapFlags::ANY)?;
        let bytes = bytes.context("the walk has no result")?;
        let found = bytes.chunks_exact(FOUND_SIZE).take(PROGS).map(|entry| {
            let armed = u64_at(entry, 16);
            let timers = Timers {
                timers: u64_at(entry, 8),
                armed,
                running: u32_at(entry, 4).into(),
                next: (armed > 0).then(|| Duration::from_nanos(u64_at(entry, 24))),
            };
            (u32_at(entry, 0), timers)
        });
        self.found = found.filter(|(_, timers)| timers.timers > 0).collect();
        Ok(self)
    }
}

/// Returns whether a map is that of a section; its name begins with that of the object.
fn is_section(name: &OsStr, section: &str) -> bool {
    name.to_string_lossy().ends_with(section)
}
