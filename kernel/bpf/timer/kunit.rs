// SPDX-License-Identifier: GPL-2.0-only

//! KUnit suites of the timer. The timers and their memory are real, the maps and programs are fake.
//!
//! The head of each suite lists the rules and hazards that its tests cover: R1 to R8 of
//! `Documentation/bpf/timers_rust_design.rst` and H1 to H14 of `timers_rust.rst`. The suites
//! `bpf_timer_pace`, `bpf_timer_start` and `bpf_timer_word` are in the files that they test.

mod cpus;
mod deferred;
mod expiry;
mod fixture;
mod info;
mod life;
mod operations;
mod place;
mod wall;
