// SPDX-License-Identifier: GPL-2.0

//! The BPF programs and maps of one case, and how to use them.

use crate::cpus::move_to;
use crate::model::{Callback, Event};
use crate::ops::{Act, Action, Context, Map, Prog, SlotId, When, MAPS, PROGS};
use crate::sys;
use anyhow::{anyhow, ensure, Context as _, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{set_print, Link, PrintLevel};
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use nix::time::{clock_gettime, ClockId};
use nix::unistd::getpgid;
use std::error::Error;
use std::ffi::c_void;
use std::fmt::{self, Display, Formatter};
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{addr_of, addr_of_mut, NonNull};
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::thread::sleep;
use std::time::{Duration, Instant};

mod skel {
    #![allow(clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/fuzz.skel.rs"));
}
pub use skel::types::{fuzz_args, fuzz_event, fuzz_op, fuzz_orphan, fuzz_shared, fuzz_stale};

/// As in `fuzz.h`.
const EVENTS: usize = 4096;
pub const CPUS: u32 = 8;
pub const SEEN_ONE: u32 = 63;
pub const SEEN_ECANCELED: u32 = 62;
pub const SEEN_EOPNOTSUPP: u32 = 61;
pub const SEEN_MORE: u32 = 60;
pub const SEEN_NO_ELEMENT: u32 = 59;
pub const SEEN_ETIMEDOUT: u32 = 58;

/// The offset of the data in a value, and the largest size of a value.
const DATA: usize = 16;
const VALUE: usize = 32;

/// The result of a look-up if the timer's bytes are not zeroes.
pub const SEEN_TIMER: i64 = -4095;

/// Waits until `what` holds; returns whether it did in time.
pub fn within(patience: Duration, mut what: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if what() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_micros(200));
    }
}

/// The memory that the programs share with us.
pub struct Shared {
    fd: OwnedFd,
    memory: NonNull<fuzz_shared>,
}

// SAFETY: All accesses are volatile, and through this pointer alone.
unsafe impl Send for Shared {}
// SAFETY: As above; each CPU's operation is used by the thread on that CPU.
unsafe impl Sync for Shared {}

/// Reads or writes a field that programs may access at the same time.
macro_rules! shared {
    ($shared:expr, $($field:tt)+) => {
        // SAFETY: The memory is mapped as long as `Shared` lives; indices are checked.
        unsafe { addr_of!((*$shared.memory.as_ptr()).$($field)+).read_volatile() }
    };
}
macro_rules! set_shared {
    ($shared:expr, $value:expr, $($field:tt)+) => {
        // SAFETY: As for `shared`.
        unsafe { addr_of_mut!((*$shared.memory.as_ptr()).$($field)+).write_volatile($value) }
    };
}

impl Shared {
    fn new(fd: OwnedFd) -> Result<Self> {
        let size = NonZeroUsize::new(size_of::<fuzz_shared>()).context("empty")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: A new mapping, of a map of at least that size.
        let memory = unsafe { mmap(None, size, access, MapFlags::MAP_SHARED, &fd, 0) }
            .context("the programs' memory cannot be mapped")?
            .cast();
        Ok(Self { fd, memory })
    }

    /// The state of a CPU's operation.
    fn state(&self, cpu: usize) -> &AtomicU32 {
        // SAFETY: The memory is mapped as long as `Shared` lives; both sides change the state
        // atomically.
        unsafe { AtomicU32::from_ptr(addr_of_mut!((*self.memory.as_ptr()).ops[cpu].state)) }
    }

    pub fn stage(&self) -> u32 {
        shared!(self, stage)
    }

    pub fn reset_stage(&self) {
        set_shared!(self, 0, stage);
    }

    pub fn start_counting(&self) {
        set_shared!(self, 1, counting);
    }

    pub fn stop_actions(&self) {
        set_shared!(self, 1, quiet);
    }

    /// How often timers of a map were started, cancelled while they were armed, and fired.
    pub fn counts(&self, map: Map) -> Counts {
        let map = map as usize;
        Counts {
            started: shared!(self, started[map]),
            cancelled: shared!(self, cancelled[map]),
            fired: shared!(self, fired[map]),
        }
    }

    /// Says how a cancellation that did not fail was undone, if one was.
    pub fn undone(&self) -> Option<&'static str> {
        if shared!(self, late) > 0 {
            return Some("a callback ran after its timer was cancelled, and before another start");
        }
        if shared!(self, without) > 0 {
            return Some("a timer was armed after its callback was dropped, and not set again");
        }
        None
    }

    /// How often the callbacks of a program were counted.
    pub fn counted(&self, prog: Prog) -> u64 {
        let first = prog as usize * 2;
        shared!(self, fired_of[first]) + shared!(self, fired_of[first + 1])
    }

    /// The results of an action, as bits.
    pub fn results(&self, action: usize) -> u64 {
        shared!(self, seen[action])
    }

    pub fn behave(&self, slot: SlotId, action: Action, left: u32) {
        let other = action.other().unwrap_or(SlotId(0));
        let at = slot.0;
        set_shared!(self, 0, behaviours[at].left);
        set_shared!(self, action.number(), behaviours[at].action);
        set_shared!(self, other.map() as u32, behaviours[at].other_map);
        set_shared!(self, other.key(), behaviours[at].other_key);
        set_shared!(self, action.nsecs(), behaviours[at].nsecs);
        set_shared!(self, left, behaviours[at].left);
    }

    pub fn is_full(&self) -> bool {
        shared!(self, logged) as usize >= EVENTS
    }

    /// Returns the logged callbacks that are not in `taken`, and adds them to it.
    pub fn events(&self, taken: &mut Vec<bool>) -> Vec<Event> {
        let logged = (shared!(self, logged) as usize).min(EVENTS);
        let mut events = Vec::new();
        taken.resize(logged, false);
        for (at, taken) in taken.iter_mut().enumerate() {
            if *taken || shared!(self, events[at].ready) == 0 {
                continue;
            }
            *taken = true;
            let event: fuzz_event = shared!(self, events[at]);
            events.push(Event {
                slot: SlotId(event.slot as usize),
                callback: Callback(event.callback),
                cpu: event.cpu,
                action: event.action,
                ret: event.ret,
            });
        }
        events
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: Mapped by us with that size, and not used from here on.
        let _ = unsafe { munmap(self.memory.cast::<c_void>(), size_of::<fuzz_shared>()) };
    }
}

/// The outcomes of the timers of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub started: u64,
    pub cancelled: u64,
    pub fired: u64,
}

/// How two operations at once take turns; as `enum fuzz_role`.
#[derive(Clone, Copy)]
pub enum Role {
    Alone,
    Overtaken,
    Overtakes,
}

/// The programs and maps of a case, which must be gone after everything is closed.
pub struct Ids {
    progs: Vec<u32>,
    maps: Vec<u32>,
}

impl Ids {
    pub fn add_map(&mut self, id: u32) {
        self.maps.push(id);
    }

    /// Waits until all are gone. Names one that is not.
    pub fn wait_until_gone(&self, patience: Duration) -> Result<(), String> {
        let end = Instant::now() + patience;
        let left = || end.saturating_duration_since(Instant::now());
        for &id in &self.progs {
            if !within(left(), || !sys::is_prog_loaded(id)) {
                return Err(format!("all is closed, and program {id} still loaded"));
            }
        }
        for &id in &self.maps {
            if !within(left(), || !sys::is_map_there(id)) {
                return Err(format!("all is closed, and map {id} still there"));
            }
        }
        Ok(())
    }
}

/// The programs and maps. They are closed when this is dropped.
pub struct Session {
    progs: [Option<OwnedFd>; PROGS.len()],
    prog_ids: [u32; PROGS.len()],
    stale: OwnedFd,
    orphan: OwnedFd,
    maps: Vec<OwnedFd>,
    outer: OwnedFd,
    orphans: OwnedFd,
    pub shared: Shared,
    _links: Vec<Link>,
}

impl Session {
    pub fn load() -> Result<Self> {
        set_print(Some((PrintLevel::Warn, |_, text| eprint!("{text}"))));
        let mut object = MaybeUninit::uninit();
        let open = skel::FuzzSkelBuilder::default().open(&mut object)?;
        let skel = open
            .load()
            .context("the BPF programs cannot be loaded: is this Linux 7.3, and root?")?;
        let hardirq = skel
            .progs
            .hardirq
            .attach()
            .context("hrtimer_expire_entry")?;
        let nmi = skel.progs.nmi.attach().context("bpf_get_numa_node_id")?;
        let mut links = vec![hardirq, nmi];
        if Prog::Nmi.exists() {
            let breakpoint = skel.progs.breakpoint.attach();
            let breakpoint = breakpoint
                .or_else(|_| skel.progs.breakpoint_endbr.attach())
                .context("a breakpoint in getpgid()")?;
            links.push(breakpoint);
        }
        // These are copies, so that each can be closed alone. libbpf closes its own with the
        // skeleton.
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned();
        let progs = [
            own(skel.progs.syscall_a.as_fd())?,
            own(skel.progs.syscall_b.as_fd())?,
            own(skel.progs.classifier.as_fd())?,
            own(skel.progs.hardirq.as_fd())?,
            own(skel.progs.nmi.as_fd())?,
        ];
        let mut prog_ids = [0; PROGS.len()];
        for (id, prog) in prog_ids.iter_mut().zip(&progs) {
            *id = prog_info(prog.as_fd())?.id;
        }
        let mut session = Self {
            progs: progs.map(Some),
            prog_ids,
            stale: own(skel.progs.stale.as_fd())?,
            orphan: own(skel.progs.orphan.as_fd())?,
            maps: vec![
                own(skel.maps.array.as_fd())?,
                own(skel.maps.hash.as_fd())?,
                own(skel.maps.hash_malloc.as_fd())?,
                own(skel.maps.rhash.as_fd())?,
                own(skel.maps.lru.as_fd())?,
                own(skel.maps.inner.as_fd())?,
            ],
            outer: own(skel.maps.outer.as_fd())?,
            orphans: own(skel.maps.orphans.as_fd())?,
            shared: Shared::new(own(skel.maps.bss.as_fd())?)?,
            _links: links,
        };
        session.replace_inner()?;
        Ok(session)
    }

    /// The programs and maps that must be gone after this is dropped.
    pub fn ids(&self) -> Result<Ids> {
        let mut progs = self.prog_ids.to_vec();
        for prog in [&self.stale, &self.orphan] {
            progs.push(prog_info(prog.as_fd())?.id);
        }
        let others = [&self.outer, &self.orphans, &self.shared.fd];
        let maps = self.maps.iter().chain(others);
        Ok(Ids {
            progs,
            maps: maps.map(map_id).collect::<Result<_>>()?,
        })
    }

    /// How often the kernel says that a program has run; `None` if it is closed.
    pub fn run_count(&self, prog: Prog) -> Result<Option<u64>> {
        let Some(fd) = &self.progs[prog as usize] else {
            return Ok(None);
        };
        Ok(Some(prog_info(fd.as_fd())?.run_cnt))
    }

    pub fn is_open(&self, prog: Prog) -> bool {
        self.progs[prog as usize].is_some()
    }

    pub fn unload(&mut self, prog: Prog) {
        self.progs[prog as usize] = None;
    }

    /// The programs that were closed.
    pub fn closed(&self) -> impl Iterator<Item = Prog> + '_ {
        PROGS.into_iter().filter(|&prog| !self.is_open(prog))
    }

    pub fn is_loaded(&self, prog: Prog) -> bool {
        sys::is_prog_loaded(self.prog_ids[prog as usize])
    }

    fn map(&self, map: Map) -> BorrowedFd<'_> {
        self.maps[map as usize].as_fd()
    }

    /// Puts a new inner map into the outer map, and closes the old inner map. Returns
    /// the id of the new one.
    pub fn replace_inner(&mut self) -> Result<u32> {
        let inner = &mut self.maps[Map::Inner as usize];
        let new = sys::create_like(inner.as_fd(), c"inner")
            .map_err(|err| anyhow!("no inner map: error {err}"))?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&new);
        let err = sys::update(self.outer.as_fd(), 0, &fd.to_ne_bytes(), 0);
        ensure!(err == 0, "the inner map cannot be replaced: error {err}");
        *inner = new;
        map_id(inner)
    }

    /// Does an operation in a program. The caller has moved to the context's CPU. If
    /// that CPU goes offline first, the operation is done on the CPU to which the
    /// kernel moves the caller. An operation in an interrupt is not done then, but
    /// returns [`CpuIsGone`].
    pub fn run(
        &self,
        kind: u32,
        slot: SlotId,
        arg: (u64, u64),
        context: Context,
        role: Role,
    ) -> Result<i64> {
        let at = (context.cpu % CPUS) as usize;
        let (arg, flags) = arg;
        let op = fuzz_op {
            kind,
            map: slot.map() as u32,
            key: slot.key(),
            irqs_off: context.irqs_off.into(),
            role: role as u32,
            state: match context.prog {
                Prog::Hardirq => REQUESTED,
                Prog::Nmi => REQUESTED_NMI,
                _ => 0,
            },
            arg,
            flags,
            ret: 0,
        };
        let prog = self.progs[context.prog as usize].as_ref();
        let prog = prog.context("the program is closed")?.as_fd();
        let state = op.state;
        set_shared!(self.shared, fuzz_op { state: 0, ..op }, ops[at]);
        let err = match context.prog {
            Prog::SyscallA | Prog::SyscallB => sys::run(prog, &mut fuzz_args { cpu: at as u32 }),
            Prog::Tc => sys::run_for_packet(prog, at as u32),
            Prog::Hardirq => {
                ensure!(
                    self.request(at, state, || ())?,
                    "CPU {at} got no timer interrupt for a minute"
                );
                0
            }
            Prog::Nmi => {
                // The breakpoint is in getpgid().
                let interrupt = || {
                    let _ = getpgid(None);
                };
                ensure!(
                    self.request(at, state, interrupt)?,
                    "the breakpoint in getpgid() is no NMI"
                );
                0
            }
        };
        ensure!(err == 0, "{:?} cannot be run: error {err}", context.prog);
        Ok(shared!(self.shared, ops[at].ret))
    }

    /// Requests an operation of a CPU, and waits for the interrupt that does it, or
    /// causes that. Returns whether it came. Withdraws the request if the CPU goes
    /// offline first.
    fn request(&self, cpu: usize, request: u32, mut interrupt: impl FnMut()) -> Result<bool> {
        let mut withdrawn = false;
        self.shared.state(cpu).store(request, Release);
        let came = within(Duration::from_secs(60), || {
            interrupt();
            let state = self.shared.state(cpu);
            // The kernel moves the caller away from a CPU that goes offline.
            withdrawn = move_to(cpu as u32).is_err()
                && state
                    .compare_exchange(request, IDLE, Relaxed, Relaxed)
                    .is_ok();
            withdrawn || state.load(Acquire) == DONE
        });
        ensure!(!withdrawn, CpuIsGone);
        Ok(came)
    }

    /// Does an operation on a timer. `clock` is the timer's clock, for [`When::Later`].
    pub fn act(
        &self,
        slot: SlotId,
        act: Act,
        clock: u64,
        context: Context,
        role: Role,
    ) -> Result<i64> {
        let (kind, arg) = match act {
            Act::Init { flags } => (0, (flags, 0)),
            Act::SetCallback { second } => (1, (second.into(), 0)),
            Act::Start { when, pin, bad } => {
                let flags =
                    u64::from(when.is_absolute()) | (u64::from(pin) << 1) | (u64::from(bad) << 2);
                (2, (nanoseconds(when, clock)?, flags))
            }
            Act::Cancel => (3, (0, 0)),
            Act::CancelAsync => (4, (0, 0)),
        };
        self.run(kind, slot, arg, context, role)
    }

    pub fn delete_in(&self, slot: SlotId, context: Context) -> Result<i64> {
        self.run(5, slot, (0, 0), context, Role::Alone)
    }

    pub fn update_in(&self, slot: SlotId, data: u32, flags: u64, context: Context) -> Result<i64> {
        self.run(6, slot, (data.into(), flags), context, Role::Alone)
    }

    pub fn delete(&self, slot: SlotId) -> i64 {
        sys::delete(self.map(slot.map()), slot.key())
    }

    /// Updates an element, with rubbish in place of the timer, which must not get
    /// there.
    pub fn update(&self, slot: SlotId, data: u32, flags: u64) -> i64 {
        self.update_key(slot.map(), slot.key(), data, flags)
    }

    pub fn update_key(&self, map: Map, key: u32, data: u32, flags: u64) -> i64 {
        let mut value = [0; VALUE];
        value[..DATA].fill(0xff);
        value[DATA..DATA + 8].copy_from_slice(&u64::from(data).to_ne_bytes());
        sys::update(self.map(map), key, &value, flags)
    }

    /// Returns the data, or an error.
    pub fn lookup(&self, slot: SlotId) -> i64 {
        let mut value = [0; VALUE];
        let err = sys::lookup(self.map(slot.map()), slot.key(), &mut value);
        data_of(err, &value)
    }

    pub fn lookup_and_delete(&self, slot: SlotId) -> i64 {
        let mut value = [0; VALUE];
        let err = sys::lookup_and_delete(self.map(slot.map()), slot.key(), &mut value);
        data_of(err, &value)
    }

    pub fn delete_batch(&self, map: Map, keys: &[u32]) -> i64 {
        sys::delete_batch(self.map(map), keys)
    }

    /// Deletes an element and initializes a timer in it. Returns both results.
    pub fn init_deleted(&self, slot: SlotId) -> Result<(i64, i64)> {
        let mut args = fuzz_stale {
            map: slot.map() as u32,
            key: slot.key(),
            ..Default::default()
        };
        let err = sys::run(self.stale.as_fd(), &mut args);
        ensure!(err == 0, "the program cannot be run: error {err}");
        Ok(match args.found {
            0 => (-crate::model::ENOENT, 0),
            _ => (args.deleted, args.init),
        })
    }

    /// Returns a program that can outlive the session.
    pub fn orphan(&self) -> Result<OwnedFd> {
        Ok(self.orphan.try_clone()?)
    }

    /// Removes all timers from their elements.
    pub fn empty(&self) {
        for slot in MAPS.into_iter().flat_map(SlotId::of) {
            match slot.map().is_array() {
                true => self.update(slot, 0, 0),
                false => self.delete(slot),
            };
        }
    }
}

/// As `enum fuzz_state`.
const IDLE: u32 = 0;
const REQUESTED: u32 = 1;
const REQUESTED_NMI: u32 = 2;
const DONE: u32 = 4;

/// An interrupt was requested of a CPU that is offline.
#[derive(Debug)]
pub struct CpuIsGone;

impl Display for CpuIsGone {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the CPU that is to be interrupted has gone offline")
    }
}

impl Error for CpuIsGone {}

fn prog_info(prog: BorrowedFd<'_>) -> Result<libbpf_rs::libbpf_sys::bpf_prog_info> {
    sys::prog_info(prog).map_err(|err| anyhow!("program: error {err}"))
}

fn map_id(map: &OwnedFd) -> Result<u32> {
    let info = sys::map_info(map.as_fd()).map_err(|err| anyhow!("map: error {err}"))?;
    Ok(info.id)
}

fn data_of(err: i64, value: &[u8; VALUE]) -> i64 {
    if err != 0 {
        return err;
    }
    if value[..DATA].iter().any(|&byte| byte != 0) {
        return SEEN_TIMER;
    }
    let data = &value[DATA..DATA + 8];
    u64::from_ne_bytes(data.try_into().expect("8 bytes")) as i64
}

fn nanoseconds(when: When, clock: u64) -> Result<u64> {
    match when {
        When::Relative(nsecs) | When::Absolute(nsecs) => Ok(nsecs),
        When::Later(nsecs) => {
            let now = clock_gettime(ClockId::from_raw(clock as i32))?;
            Ok(Duration::from(now).as_nanos() as u64 + nsecs)
        }
    }
}
