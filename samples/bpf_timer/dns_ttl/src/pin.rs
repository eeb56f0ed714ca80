// SPDX-License-Identifier: GPL-2.0

//! The directory of the bpf file system that keeps the maps after exit.

use crate::cache::{KEY_SIZE, TROUBLE_SIZE, VALUE_SIZE};
use anyhow::{bail, Context, Result};
use libbpf_rs::{ErrorKind, MapCore, MapHandle, MapType};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{statfs, BPF_FS_MAGIC};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub const DEFAULT: &str = "/sys/fs/bpf/dns_ttl";

/// The maps of `bpf/dns_ttl.bpf.c`: name, type, sizes of key and value.
const MAPS: [(&str, MapType, u32, u32); 3] = [
    ("records", MapType::LruHash, KEY_SIZE, VALUE_SIZE),
    ("expiries", MapType::RingBuf, 0, 0),
    ("troubles", MapType::Array, 4, TROUBLE_SIZE),
];

pub struct Pin {
    pub dir: PathBuf,
    /// How many entries the map of an earlier run has.
    pub max_entries: Option<u32>,
    /// One loader at a time: the ring buffer has one reader.
    _lock: Flock<File>,
}

impl Pin {
    /// Makes the directory, or takes it over from an earlier run.
    pub fn open(dir: &Path) -> Result<Self> {
        let parent = match dir.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        check_bpffs(if dir.exists() { dir } else { parent })?;
        if let Err(err) = fs::create_dir(dir) {
            if err.kind() != io::ErrorKind::AlreadyExists {
                return Err(describe(err, dir, "made"));
            }
        }
        let lock = lock(dir)?;
        let present = MAPS.iter().filter(|(name, ..)| dir.join(name).exists());
        let max_entries = match present.count() {
            0 => None,
            n if n == MAPS.len() => Some(check_layout(dir)?),
            _ => bail!(
                "{0} lacks some of the maps: drop it with --unpin={0}",
                dir.display()
            ),
        };
        Ok(Self {
            dir: dir.into(),
            max_entries,
            _lock: lock,
        })
    }

    pub fn records(&self) -> PathBuf {
        self.dir.join(MAPS[0].0)
    }

    pub fn expiries(&self) -> PathBuf {
        self.dir.join(MAPS[1].0)
    }

    pub fn troubles(&self) -> PathBuf {
        self.dir.join(MAPS[2].0)
    }
}

impl Drop for Pin {
    /// Removes the directory if nothing was pinned in it.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Drops the maps and their timers. Returns how many records were left.
pub fn unpin(dir: &Path) -> Result<usize> {
    if !dir.exists() {
        bail!("nothing is pinned at {}", dir.display());
    }
    check_bpffs(dir)?;
    let _lock = lock(dir)?;
    let records = MapHandle::from_pinned_path(dir.join(MAPS[0].0));
    let pending = records.map_or(0, |records| records.keys().count());
    for (name, ..) in MAPS {
        match fs::remove_file(dir.join(name)) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                return Err(describe(err, &dir.join(name), "removed"));
            }
            _ => (),
        }
    }
    fs::remove_dir(dir).map_err(|err| describe(err, dir, "removed"))?;
    Ok(pending)
}

fn check_bpffs(path: &Path) -> Result<()> {
    let fs = statfs(path).with_context(|| format!("{} cannot be used", path.display()))?;
    if fs.filesystem_type() != BPF_FS_MAGIC {
        bail!(
            "{} is not on a bpf file system: \"mount -t bpf bpf /sys/fs/bpf\" mounts one",
            path.display()
        );
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<Flock<File>> {
    let file = File::open(dir).map_err(|err| describe(err, dir, "opened"))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => {
            bail!("another dns_ttl uses {}: end it first", dir.display())
        }
        Err((_, err)) => Err(err).with_context(|| format!("{} cannot be locked", dir.display())),
    }
}

/// Returns how many entries the map of records has.
fn check_layout(dir: &Path) -> Result<u32> {
    let mut max_entries = 0;
    for (name, kind, key_size, value_size) in MAPS {
        let path = dir.join(name);
        let map = MapHandle::from_pinned_path(&path).map_err(|err| match err.kind() {
            ErrorKind::PermissionDenied => {
                anyhow::anyhow!("{} cannot be opened: run as root", path.display())
            }
            _ => anyhow::anyhow!("{} is no BPF map ({err:#})", path.display()),
        })?;
        if (map.map_type(), map.key_size(), map.value_size()) != (kind, key_size, value_size) {
            bail!(
                "{} is of another layout than this dns_ttl's: drop it with --unpin={}",
                path.display(),
                dir.display()
            );
        }
        if kind == MapType::LruHash {
            max_entries = map.max_entries();
        }
    }
    Ok(max_entries)
}

fn describe(err: io::Error, path: &Path, done: &str) -> anyhow::Error {
    let advice = match err.kind() {
        io::ErrorKind::PermissionDenied => ": run as root",
        _ => "",
    };
    anyhow::anyhow!("{} cannot be {done} ({err}){advice}", path.display())
}
