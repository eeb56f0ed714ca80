// SPDX-License-Identifier: GPL-2.0

//! bpf(), with results as the kernel returns them: a value, or a negative errno.

use libbpf_rs::libbpf_sys as sys;
use std::ffi::{c_void, CStr};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::{fs, io, ptr};

const ENOENT: i32 = 2;

fn address<T>(value: &T) -> *const c_void {
    ptr::from_ref(value).cast()
}

fn address_mut<T>(value: &mut T) -> *mut c_void {
    ptr::from_mut(value).cast()
}

fn own(fd: i32) -> Result<OwnedFd, i32> {
    if fd < 0 {
        return Err(fd);
    }
    // SAFETY: libbpf has just opened it, and gives it to its caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub fn update(map: BorrowedFd<'_>, key: u32, value: &[u8], flags: u64) -> i64 {
    // SAFETY: The caller's value is at least as large as the map's, and keys are u32.
    let ret = unsafe {
        sys::bpf_map_update_elem(map.as_raw_fd(), address(&key), value.as_ptr().cast(), flags)
    };
    ret.into()
}

pub fn delete(map: BorrowedFd<'_>, key: u32) -> i64 {
    // SAFETY: Keys are u32.
    unsafe { sys::bpf_map_delete_elem(map.as_raw_fd(), address(&key)) }.into()
}

pub fn lookup(map: BorrowedFd<'_>, key: u32, value: &mut [u8]) -> i64 {
    // SAFETY: The caller's buffer is at least as large as the map's values, and keys are u32.
    let ret = unsafe {
        sys::bpf_map_lookup_elem(map.as_raw_fd(), address(&key), value.as_mut_ptr().cast())
    };
    ret.into()
}

pub fn lookup_and_delete(map: BorrowedFd<'_>, key: u32, value: &mut [u8]) -> i64 {
    let value = value.as_mut_ptr().cast();
    // SAFETY: The caller's buffer is at least as large as the map's values, and keys are u32.
    let ret = unsafe { sys::bpf_map_lookup_and_delete_elem(map.as_raw_fd(), address(&key), value) };
    ret.into()
}

pub fn delete_batch(map: BorrowedFd<'_>, keys: &[u32]) -> i64 {
    let mut count = keys.len() as u32;
    // SAFETY: There are that many keys; no options.
    let ret = unsafe {
        let keys = keys.as_ptr().cast();
        sys::bpf_map_delete_batch(map.as_raw_fd(), keys, &mut count, ptr::null())
    };
    ret.into()
}

/// A map with the same values as another.
pub fn create_like(map: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, i32> {
    let info = map_info(map)?;
    // SAFETY: The argument is only a number.
    let btf = own(unsafe { sys::bpf_btf_get_fd_by_id(info.btf_id) })?;
    let options = sys::bpf_map_create_opts {
        sz: size_of::<sys::bpf_map_create_opts>() as _,
        btf_fd: btf.as_raw_fd() as u32,
        btf_key_type_id: info.btf_key_type_id,
        btf_value_type_id: info.btf_value_type_id,
        map_flags: info.map_flags,
        ..Default::default()
    };
    // SAFETY: The name and the options are valid for the call.
    own(unsafe {
        sys::bpf_map_create(
            info.type_,
            name.as_ptr(),
            info.key_size,
            info.value_size,
            info.max_entries,
            &options,
        )
    })
}

pub fn map_info(map: BorrowedFd<'_>) -> Result<sys::bpf_map_info, i32> {
    // SAFETY: Zeroes are valid for these plain numbers.
    let mut info: sys::bpf_map_info = unsafe { zeroed() };
    let mut size = size_of::<sys::bpf_map_info>() as u32;
    // SAFETY: The structure is of that size.
    match unsafe { sys::bpf_map_get_info_by_fd(map.as_raw_fd(), &mut info, &mut size) } {
        0 => Ok(info),
        err => Err(err),
    }
}

pub fn prog_info(prog: BorrowedFd<'_>) -> Result<sys::bpf_prog_info, i32> {
    // SAFETY: Zeroes are valid for these plain numbers.
    let mut info: sys::bpf_prog_info = unsafe { zeroed() };
    let mut size = size_of::<sys::bpf_prog_info>() as u32;
    // SAFETY: The structure is of that size, and asks for no arrays.
    match unsafe { sys::bpf_prog_get_info_by_fd(prog.as_raw_fd(), &mut info, &mut size) } {
        0 => Ok(info),
        err => Err(err),
    }
}

pub fn is_prog_loaded(id: u32) -> bool {
    // SAFETY: The argument is only a number.
    own(unsafe { sys::bpf_prog_get_fd_by_id(id) }).err() != Some(-ENOENT)
}

pub fn is_map_there(id: u32) -> bool {
    // SAFETY: The argument is only a number.
    own(unsafe { sys::bpf_map_get_fd_by_id(id) }).err() != Some(-ENOENT)
}

/// Makes the kernel count how often programs run, until the result is closed.
pub fn enable_stats() -> Result<OwnedFd, i32> {
    // SAFETY: The argument is only a number.
    own(unsafe { sys::bpf_enable_stats(sys::BPF_STATS_RUN_TIME) })
}

/// Gives the calling thread a real-time priority.
pub fn become_fifo(priority: i32) -> io::Result<()> {
    let param = nix::libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `param` is valid; 0 is the calling thread.
    match unsafe { nix::libc::sched_setscheduler(0, nix::libc::SCHED_FIFO, &param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the running kernel was built with an option.
pub fn is_configured(option: &str) -> io::Result<bool> {
    let line = format!("CONFIG_{option}=y");
    let status = Command::new("zgrep")
        .args(["-qx", &line, "/proc/config.gz"])
        .status()?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(io::Error::other("zgrep has failed")),
    }
}

/// Whether kprobes may become jumps, where the kernel can do that.
const OPTIMIZATION: &str = "/proc/sys/debug/kprobes-optimization";

/// The old setting, which is written back when this is dropped.
pub struct Breakpoints(Option<Vec<u8>>);

/// Makes the kernel keep kprobes as breakpoints, until the result is dropped.
pub fn keep_breakpoints() -> io::Result<Breakpoints> {
    match fs::read(OPTIMIZATION) {
        Ok(old) => fs::write(OPTIMIZATION, "0").map(|()| Breakpoints(Some(old))),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Breakpoints(None)),
        Err(err) => Err(err),
    }
}

impl Drop for Breakpoints {
    fn drop(&mut self) {
        if let Some(old) = &self.0 {
            // If that fails, kprobes are only slower.
            let _ = fs::write(OPTIMIZATION, old);
        }
    }
}

/// Runs a syscall program.
pub fn run<T>(prog: BorrowedFd<'_>, context: &mut T) -> i64 {
    let mut options = sys::bpf_test_run_opts {
        sz: size_of::<sys::bpf_test_run_opts>() as _,
        ctx_in: address_mut(context),
        ctx_size_in: size_of::<T>() as u32,
        ..Default::default()
    };
    // SAFETY: The context is of that size, and plain data.
    unsafe { sys::bpf_prog_test_run_opts(prog.as_raw_fd(), &mut options) }.into()
}

/// The beginning of `struct __sk_buff`.
#[derive(Default)]
#[repr(C)]
struct SkBuff {
    len: u32,
    pkt_type: u32,
    mark: u32,
}

/// Runs a program of the traffic control, for a packet with that mark.
pub fn run_for_packet(prog: BorrowedFd<'_>, mark: u32) -> i64 {
    let packet = [0u8; 64];
    let mut context = SkBuff {
        mark,
        ..Default::default()
    };
    let mut options = sys::bpf_test_run_opts {
        sz: size_of::<sys::bpf_test_run_opts>() as _,
        data_in: packet.as_ptr().cast(),
        data_size_in: packet.len() as u32,
        ctx_in: address_mut(&mut context),
        ctx_size_in: size_of::<SkBuff>() as u32,
        ..Default::default()
    };
    // SAFETY: The packet and the context are of these sizes.
    unsafe { sys::bpf_prog_test_run_opts(prog.as_raw_fd(), &mut options) }.into()
}
