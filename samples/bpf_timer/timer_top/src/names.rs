// SPDX-License-Identifier: GPL-2.0

//! The names of maps and programs, and who has them open.

use crate::events::Key;
use libbpf_rs::query;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use std::{fs, process};

/// A map or a program.
#[derive(Clone, Debug, Default)]
pub struct Name {
    pub name: String,
    pub kind: String,
    /// The processes that have a file descriptor of it.
    pub owners: BTreeSet<String>,
}

/// The names, by id. What is gone keeps its name.
pub struct Names {
    maps: BTreeMap<u32, Name>,
    progs: BTreeMap<u32, Name>,
    /// When the owners are to be looked for again.
    due: Instant,
}

/// The owners are looked for that often, and at once for what is new, but in one part of so many of
/// the time.
const OWNERS_EVERY: Duration = Duration::from_secs(10);
const SHARE: u32 = 50;

impl Names {
    pub fn new() -> Self {
        Self {
            maps: BTreeMap::new(),
            progs: BTreeMap::new(),
            due: Instant::now(),
        }
    }

    pub fn map(&self, id: u32) -> Name {
        self.maps.get(&id).cloned().unwrap_or_default()
    }

    pub fn prog(&self, id: u32) -> Name {
        self.progs.get(&id).cloned().unwrap_or_default()
    }

    /// Learns the names that are not known yet, and who owns them.
    pub fn learn<'a>(&mut self, keys: impl Iterator<Item = &'a Key> + Clone) {
        let new_map = |key: &Key| key.map != 0 && !self.maps.contains_key(&key.map);
        let new_prog = |key: &Key| key.prog != 0 && !self.progs.contains_key(&key.prog);
        let is_new = keys.clone().any(|key| new_map(key) || new_prog(key));
        if is_new {
            self.learn_names();
            // What was gone before anyone could ask is not asked for again.
            let gone = || Name {
                name: "(gone)".into(),
                ..Name::default()
            };
            for key in keys {
                self.maps.entry(key.map).or_insert_with(gone);
                self.progs.entry(key.prog).or_insert_with(gone);
            }
        }
        let begin = Instant::now();
        if begin >= self.due || is_new && begin + OWNERS_EVERY >= self.due {
            self.find_owners();
            self.due = begin + OWNERS_EVERY.max(begin.elapsed() * SHARE);
        }
    }

    fn learn_names(&mut self) {
        for map in query::MapInfoIter::default() {
            let name = self.maps.entry(map.id).or_default();
            name.name = map.name.to_string_lossy().into_owned();
            name.kind = format!("{:?}", map.ty);
        }
        for prog in query::ProgInfoIter::default() {
            let name = self.progs.entry(prog.id).or_default();
            name.name = prog.name.to_string_lossy().into_owned();
            name.kind = format!("{:?}", prog.ty);
        }
    }

    /// Looks into the descriptors of all processes.
    fn find_owners(&mut self) {
        for name in self.maps.values_mut().chain(self.progs.values_mut()) {
            name.owners.clear();
        }
        let entries = |path: &str| fs::read_dir(path).into_iter().flatten().flatten();
        for process in entries("/proc") {
            let pid = process.file_name().to_string_lossy().into_owned();
            let is_ours = pid == process::id().to_string();
            if is_ours || !pid.starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            let mut command = None;
            for fd in entries(&format!("/proc/{pid}/fdinfo")) {
                let Ok(text) = fs::read_to_string(fd.path()) else {
                    continue;
                };
                let id = |field: &str| {
                    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
                    line.trim().parse::<u32>().ok()
                };
                let name = match (id("map_id:"), id("prog_id:")) {
                    (Some(map), _) => self.maps.get_mut(&map),
                    (_, Some(prog)) => self.progs.get_mut(&prog),
                    _ => None,
                };
                if let Some(name) = name {
                    let command = command.get_or_insert_with(|| {
                        let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
                        comm.map_or_else(|_| pid.clone(), |comm| comm.trim().to_owned())
                    });
                    name.owners.insert(format!("{command}({pid})"));
                }
            }
        }
    }
}
