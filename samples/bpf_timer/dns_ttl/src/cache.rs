// SPDX-License-Identifier: GPL-2.0

//! The BPF side: the map of records, its timers, and their reports.
//!
//! The layouts are the same as in `bpf/dns_ttl.h`.

use crate::pin::Pin;
use crate::records::Record;
use anyhow::{anyhow, bail, Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{
    set_print, ErrorKind, MapCore, MapFlags, OpenObject, PrintLevel, ProgramInput, ProgramMut,
    RingBuffer, RingBufferBuilder,
};
use nix::errno::Errno;
use nix::time::{clock_gettime, ClockId};
use std::cell::RefCell;
use std::mem::{take, MaybeUninit};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

mod skel {
    include!(concat!(env!("OUT_DIR"), "/dns_ttl.skel.rs"));
}
use skel::{DnsTtlSkel, DnsTtlSkelBuilder};

const NAME_LEN: usize = 256;
const DATA_LEN: usize = 16 + 3 * 8;
pub const KEY_SIZE: u32 = NAME_LEN as u32;
pub const VALUE_SIZE: u32 = DATA_LEN as u32 + 16;
pub const TROUBLE_SIZE: u32 = 3 * 8;
const STEPS: [&str; 6] = [
    "bpf_timer_cancel",
    "bpf_map_update_elem",
    "bpf_map_lookup_elem",
    "bpf_timer_init",
    "bpf_timer_set_callback",
    "bpf_timer_start",
];

/// A record that is, or was, in the map.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub address: IpAddr,
    pub ttl: Duration,
    pub deadline_ns: u64,
}

/// A report of the timer's callback.
pub struct Expiry {
    pub entry: Entry,
    pub now_ns: u64,
}

/// Troubles that the callbacks could not report.
#[derive(Default)]
pub struct Troubles {
    pub unreported: u64,
    pub undeleted: u64,
    pub delete_err: i32,
}

pub struct Cache<'obj> {
    skel: DnsTtlSkel<'obj>,
    ring: RingBuffer<'static>,
    arrived: Rc<RefCell<Vec<Expiry>>>,
}

impl<'obj> Cache<'obj> {
    /// Loads the program, with the maps of an earlier run if `pin` holds them.
    pub fn load(
        object: &'obj mut MaybeUninit<OpenObject>,
        max_entries: u32,
        pin: Option<&Pin>,
    ) -> Result<Self> {
        set_print(Some((PrintLevel::Warn, |_, text| {
            LOG.lock().unwrap().push_str(&text)
        })));
        let mut open = DnsTtlSkelBuilder::default().open(object)?;
        open.maps.records.set_max_entries(max_entries)?;
        if let Some(pin) = pin {
            open.maps.records.set_pin_path(pin.records())?;
            open.maps.expiries.set_pin_path(pin.expiries())?;
            open.maps.troubles.set_pin_path(pin.troubles())?;
        }
        let skel = open.load().map_err(explain)?;
        let arrived = Rc::new(RefCell::new(Vec::new()));
        let inbox = arrived.clone();
        let mut ring = RingBufferBuilder::new();
        ring.add(&skel.maps.expiries, move |report| {
            inbox.borrow_mut().extend(decode_expiry(report));
            0
        })?;
        let ring = ring.build()?;
        Ok(Self {
            skel,
            ring,
            arrived,
        })
    }

    /// Inserts a record and arms its timer. The flag says that a record of that
    /// name was replaced before its TTL had ended.
    pub fn insert(&mut self, record: &Record) -> Result<(Entry, bool)> {
        let mut args = encode(record);
        let retval = run(&self.skel.progs.insert, Some(&mut args))?;
        let (_, out) = args.split_at(NAME_LEN);
        let (data, out) = out.split_at(DATA_LEN);
        if retval < 0 {
            let step = STEPS.get(u32_at(out, 0) as usize).unwrap_or(&"insert");
            let err = Errno::from_raw(-retval);
            bail!("{} cannot be inserted: {step} says {err}", record.name);
        }
        let entry = decode(record.name.as_bytes(), data).context("insert wrote no record")?;
        Ok((entry, u32_at(out, 4) != 0))
    }

    /// All records, the next to expire first.
    pub fn list(&self) -> Result<Vec<Entry>> {
        let map = &self.skel.maps.records;
        let mut entries = Vec::new();
        for key in map.keys() {
            // A record may expire before the lookup; the ring buffer reports it then.
            if let Some(value) = map.lookup(&key, MapFlags::ANY)? {
                entries.extend(decode(&key, &value));
            }
        }
        entries.sort_by(|a, b| (a.deadline_ns, &a.name).cmp(&(b.deadline_ns, &b.name)));
        // The walk starts again when its current record is deleted.
        entries.dedup_by(|a, b| (a.deadline_ns, &a.name) == (b.deadline_ns, &b.name));
        Ok(entries)
    }

    /// Whether the map still holds this very record.
    pub fn holds(&self, entry: &Entry) -> Result<bool> {
        let value = self
            .skel
            .maps
            .records
            .lookup(&key(&entry.name), MapFlags::ANY)?;
        let found = value.and_then(|value| decode(entry.name.as_bytes(), &value));
        Ok(found.is_some_and(|found| found.deadline_ns == entry.deadline_ns))
    }

    /// Deletes a record, which cancels its timer; false if it is gone already.
    pub fn delete(&self, entry: &Entry) -> Result<bool> {
        match self.skel.maps.records.delete(&key(&entry.name)) {
            Ok(()) => Ok(true),
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(false),
            Err(err) => Err(err).context(format!("{} cannot be deleted", entry.name)),
        }
    }

    /// Waits for a report, a signal or the end of `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<()> {
        match self.ring.poll(timeout) {
            Err(err) if err.kind() == ErrorKind::Interrupted => Ok(()),
            result => result.context("the ring buffer cannot be read"),
        }
    }

    /// The reports that have come in, in the order of expiry.
    pub fn expiries(&self) -> Result<Vec<Expiry>> {
        self.ring
            .consume()
            .context("the ring buffer cannot be read")?;
        Ok(take(&mut *self.arrived.borrow_mut()))
    }

    /// Whether a callback is still writing its report.
    pub fn unread(&mut self) -> Result<bool> {
        Ok(run(&self.skel.progs.unread, None)? != 0)
    }

    pub fn troubles(&self) -> Result<Troubles> {
        let value = self
            .skel
            .maps
            .troubles
            .lookup(&0u32.to_ne_bytes(), MapFlags::ANY)?;
        Ok(value.map_or_else(Troubles::default, |value| Troubles {
            unreported: u64_at(&value, 0),
            undeleted: u64_at(&value, 8),
            delete_err: u32_at(&value, 16) as i32,
        }))
    }
}

/// The clock of the deadlines.
pub fn now_ns() -> Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(now.as_nanos() as u64)
}

fn run(program: &ProgramMut<'_>, args: Option<&mut [u8]>) -> Result<i32> {
    let input = ProgramInput {
        context_in: args,
        ..Default::default()
    };
    let output = program
        .test_run(input)
        .context("the BPF program cannot be run")?;
    Ok(output.return_value as i32)
}

fn key(name: &str) -> [u8; NAME_LEN] {
    let mut key = [0; NAME_LEN];
    key[..name.len()].copy_from_slice(name.as_bytes());
    key
}

/// `struct dns_insert`
fn encode(record: &Record) -> Vec<u8> {
    let (address, family) = match record.address {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), 4u64),
        IpAddr::V6(v6) => (v6.octets(), 6),
    };
    let ttl_ns = record.ttl.as_nanos() as u64;
    let mut args = key(&record.name).to_vec();
    args.extend(address);
    args.extend(family.to_ne_bytes());
    args.extend(ttl_ns.to_ne_bytes());
    args.extend([0; 8 + 2 * 4]);
    args
}

/// `struct dns_name` and `struct dns_data`
fn decode(name: &[u8], data: &[u8]) -> Option<Entry> {
    let name = name.split(|&byte| byte == 0).next()?;
    let address = <[u8; 16]>::try_from(data.get(..16)?).ok()?;
    let v6 = std::net::Ipv6Addr::from(address);
    Some(Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        address: match u64_at(data, 16) {
            4 => IpAddr::V4(v6.to_ipv4_mapped()?),
            _ => IpAddr::V6(v6),
        },
        ttl: Duration::from_nanos(u64_at(data, 24)),
        deadline_ns: u64_at(data, 32),
    })
}

/// `struct dns_expiry`
fn decode_expiry(report: &[u8]) -> Option<Expiry> {
    if report.len() < NAME_LEN + DATA_LEN + 8 {
        return None;
    }
    let (name, rest) = report.split_at(NAME_LEN);
    Some(Expiry {
        entry: decode(name, rest)?,
        now_ns: u64_at(rest, DATA_LEN),
    })
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// The messages of libbpf and the verifier.
static LOG: Mutex<String> = Mutex::new(String::new());

fn explain(err: libbpf_rs::Error) -> anyhow::Error {
    let log = LOG.lock().unwrap();
    // EACCES may also come from the verifier.
    let verified = log.contains("PROG LOAD LOG");
    let advice = match err.kind() {
        ErrorKind::PermissionDenied if !verified => {
            return anyhow!("loading a BPF program is not permitted: run as root, or with CAP_BPF")
        }
        ErrorKind::Unsupported if !verified => {
            return anyhow!("this kernel has no bpf(): it needs CONFIG_BPF_SYSCALL")
        }
        ErrorKind::OutOfMemory => "there is not enough memory: lower --max-entries",
        _ => {
            "this kernel does not take the program: it needs Linux 5.15 or newer, \
              with BPF timers, and without PREEMPT_RT"
        }
    };
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n  ");
    anyhow!("{advice} ({err:#}). The last lines about it:\n  {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_it_encodes() {
        for address in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let record = Record {
                name: "www.example.org".into(),
                address: address.parse().unwrap(),
                ttl: Duration::from_millis(500),
            };
            let args = encode(&record);
            assert_eq!(args.len(), NAME_LEN + DATA_LEN + 2 * 4);
            let entry = decode(&args[..NAME_LEN], &args[NAME_LEN..]).unwrap();
            assert_eq!(
                (entry.name, entry.address, entry.ttl, entry.deadline_ns),
                (record.name, record.address, record.ttl, 0)
            );
        }
    }

    #[test]
    fn refuses_a_short_report() {
        assert!(decode_expiry(&[0; NAME_LEN - 1]).is_none());
        assert!(decode_expiry(&[0; NAME_LEN + DATA_LEN]).is_none());
    }
}
