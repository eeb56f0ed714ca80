// SPDX-License-Identifier: GPL-2.0

//! The timers that there are, as walks over their maps find them.
//!
//! The layouts are the same as in `bpf/list.h`.

use crate::events::{u32_at, u64_at, Key};
use anyhow::{Context, Result};
use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{query, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, ProgramInput};
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::mem::{offset_of, size_of};
use std::os::fd::AsFd;
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

/// A walk over one map.
struct Walk {
    object: Object,
    cost: Duration,
    due: Instant,
    found: Vec<(u32, Timers)>,
}

/// All walks, by the id of the map; `None` for a map without timers, or one that cannot be walked.
#[derive(Default)]
pub struct List {
    walks: BTreeMap<u32, Option<Walk>>,
}

/// A walk may take one part in so many of the time.
const SHARE: u32 = 50;

impl List {
    /// Looks for new maps, and walks over those with timers, unless that takes too much time.
    pub fn refresh(&mut self) -> BTreeMap<Key, Timers> {
        let now = Instant::now();
        let ids: Vec<u32> = query::MapInfoIter::default().map(|map| map.id).collect();
        self.walks.retain(|id, _| ids.contains(id));
        let mut all = BTreeMap::new();
        for id in ids {
            let walk = self
                .walks
                .entry(id)
                .or_insert_with(|| Walk::new(id).unwrap_or(None));
            let Some(walk) = walk else { continue };
            if walk.due <= now {
                walk.run();
            }
            for (prog, timers) in &walk.found {
                all.insert(
                    Key {
                        map: id,
                        prog: *prog,
                    },
                    *timers,
                );
            }
        }
        all
    }

    /// Returns whether the timers of a map are counted.
    pub fn has(&self, map: u32) -> bool {
        matches!(self.walks.get(&map), Some(Some(_)))
    }
}

impl Walk {
    /// Loads the program for the map; `None` if the map has no timers.
    fn new(id: u32) -> Result<Option<Self>> {
        let map = MapHandle::from_map_id(id)?;
        let Some(offset) = timer_offset(&map)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            object: load(&map, offset)?,
            cost: Duration::ZERO,
            due: Instant::now(),
            found: Vec::new(),
        }))
    }

    fn run(&mut self) {
        let begin = Instant::now();
        let walk = self.object.progs_mut().find(|prog| prog.name() == "walk");
        let done = walk.is_some_and(|walk| walk.test_run(ProgramInput::default()).is_ok());
        // Without a result, what was found before stays.
        if done {
            self.found = self.read();
        }
        self.cost = begin.elapsed();
        self.due = Instant::now() + self.cost * SHARE;
    }

    fn read(&self) -> Vec<(u32, Timers)> {
        let bss = self
            .object
            .maps()
            .find(|map| is_section(map.name(), ".bss"));
        let bytes = bss.and_then(|bss| bss.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).ok()?);
        let bytes = bytes.unwrap_or_default();
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
        found.filter(|(_, timers)| timers.timers > 0).collect()
    }
}

/// Returns whether a map is that of a section; its name begins with that of the object.
fn is_section(name: &OsStr, section: &str) -> bool {
    name.to_string_lossy().ends_with(section)
}

/// Loads the program with `map` in the place of its target.
fn load(map: &MapHandle, offset: u32) -> Result<Object> {
    let mut open = ObjectBuilder::default()
        .name("list")?
        .open_memory(PROGRAM)?;
    for mut place in open.maps_mut() {
        if place.name() == "target" {
            place.reuse_fd(map.as_fd())?;
        } else if is_section(place.name(), ".rodata") {
            let constants = place
                .initial_value_mut()
                .context("the program has no constants")?;
            constants[..4].copy_from_slice(&offset.to_ne_bytes());
        }
    }
    Ok(open.load()?)
}

/// Returns where in the values of a map the timer is, as its BTF says; `None` if there is none.
fn timer_offset(map: &MapHandle) -> Result<Option<u32>> {
    let info = map.info()?.info;
    if info.btf_id == 0 || info.btf_value_type_id == 0 {
        return Ok(None);
    }
    // SAFETY: The BTF and what it says of its types and names is valid until it is freed at the
    // end. The members of a type follow it, as many as it says.
    unsafe {
        let btf = sys::btf__load_from_kernel_by_id(info.btf_id);
        if btf.is_null() {
            return Ok(None);
        }
        let type_at = |id| sys::btf__type_by_id(btf, id);
        let name_of = |ty: *const sys::btf_type| {
            let name = sys::btf__name_by_offset(btf, (*ty).name_off);
            (!name.is_null()).then(|| CStr::from_ptr(name))
        };
        let value = type_at(info.btf_value_type_id);
        let mut offset = None;
        if is_struct(value) {
            let members = value.add(1).cast::<sys::btf_member>();
            for i in 0..((*value).info & 0xffff) as usize {
                let member = &*members.add(i);
                let ty = type_at(member.type_);
                if is_struct(ty) && name_of(ty) == Some(c"bpf_timer") {
                    offset = Some((member.offset & 0xff_ffff) / 8);
                }
            }
            // The value may be nothing but a timer.
            if name_of(value) == Some(c"bpf_timer") {
                offset = Some(0);
            }
        }
        sys::btf__free(btf);
        Ok(offset)
    }
}

/// # Safety
///
/// `ty` must be null or valid.
unsafe fn is_struct(ty: *const sys::btf_type) -> bool {
    const STRUCT: u32 = 4;
    // SAFETY: By the safety requirement.
    !ty.is_null() && unsafe { (*ty).info } >> 24 & 0x1f == STRUCT
}

const _: () = assert!(offset_of!(sys::btf_member, offset) == 8 && size_of::<sys::btf_type>() == 12);
