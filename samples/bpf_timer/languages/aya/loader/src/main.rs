// SPDX-License-Identifier: GPL-2.0

//! Loads the program of `../program`, and says after a second how often its timer has ticked:
//! `ticks-loader OBJECT`.

use std::{env, error::Error, thread, time::Duration};

use aya::{maps::Array, programs::FEntry, Btf, Ebpf, Pod};

/// A value of the map `TICKERS`. User space reads zeroes in place of the timer.
#[derive(Clone, Copy)]
#[repr(C)]
struct Ticker {
    timer: [u64; 2],
    ticks: u64,
}

// SAFETY: All bytes of the struct are initialized, and any value of them is valid.
unsafe impl Pod for Ticker {}

fn main() -> Result<(), Box<dyn Error>> {
    let object = env::args().nth(1).ok_or("usage: ticks-loader OBJECT")?;
    let mut bpf = Ebpf::load_file(object)?;
    let begin: &mut FEntry = bpf
        .program_mut("begin")
        .ok_or("no program begin")?
        .try_into()?;

    begin.load("hrtimer_nanosleep", &Btf::from_sys_fs()?)?;
    begin.attach()?;
    thread::sleep(Duration::from_secs(1));

    let tickers: Array<_, Ticker> = Array::try_from(bpf.map("TICKERS").ok_or("no map TICKERS")?)?;
    let ticker = tickers.get(&0, 0)?;
    println!("{} ticks in a second", ticker.ticks);
    Ok(())
}
