// SPDX-License-Identifier: GPL-2.0

//! A timer in Rust, with aya: it ticks every ten milliseconds, from the first time that a task
//! sleeps.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::bpf_timer,
    btf_maps::Array,
    cty::c_void,
    helpers::{bpf_timer_init, bpf_timer_set_callback, bpf_timer_start},
    macros::{btf_map, fentry},
    programs::FEntryContext,
};

const CLOCK_MONOTONIC: u64 = 1;
const PERIOD: u64 = 10_000_000; // nanoseconds

/// What `../loader` reads. The kernel knows the timer by the name of its type.
#[repr(C)]
pub struct Ticker {
    timer: bpf_timer,
    ticks: u64,
}

#[btf_map]
static TICKERS: Array<Ticker, 1> = Array::new();

extern "C" fn tick(_map: *mut c_void, _key: *mut u32, ticker: *mut Ticker) -> i64 {
    // SAFETY: The kernel calls this with a value of `TICKERS`; only this function writes `ticks`.
    unsafe {
        (*ticker).ticks += 1;
        bpf_timer_start(&raw mut (*ticker).timer, PERIOD, 0);
    }
    0
}

#[fentry(function = "hrtimer_nanosleep")]
pub fn begin(_: FEntryContext) -> i32 {
    if let Some(ticker) = TICKERS.get_ptr_mut(0) {
        // SAFETY: The value stays for as long as this program runs, and so does the map. The
        // callback has the type that the kernel calls.
        unsafe {
            let timer = &raw mut (*ticker).timer;
            let map = &raw const TICKERS;

            // There is a timer already if a task has slept before.
            if bpf_timer_init(timer, map.cast_mut().cast(), CLOCK_MONOTONIC) == 0 {
                bpf_timer_set_callback(timer, tick as *mut c_void);
                bpf_timer_start(timer, PERIOD, 0);
            }
        }
    }
    0
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
