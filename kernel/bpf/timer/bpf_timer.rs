// SPDX-License-Identifier: GPL-2.0-only

//! BPF timers.
//!
//! A `struct bpf_timer` in the value of a map is a [`Slot`](slot::Slot), which holds a
//! [`Timer`](timer::Timer) from `bpf_timer_init()` until the element is deleted or the map loses
//! its last user reference. The life of a timer:
//!
//! ```text
//!           init                start                expiry
//!  (empty) ------> stopped  ----------->  armed  ----------> running --+
//!                     ^        cancel        |                         |
//!                     +----------------------+<------------------------+
//!        any state -- element deleted, last user reference gone --> dead
//!              dead -- RCU Tasks Trace and RCU grace period --> freed
//! ```
//!
//! The modules keep these rules in every interleaving:
//!
//! - **R1** A dead timer is not armed again, and one that was armed when it died does not call its
//!   program after the grace period ([`word`], [`owner`]).
//! - **R2** A running callback's program stays loaded: the timer holds a reference, or dropped it
//!   less than a grace period ago ([`callback`]).
//! - **R3** If an initialization races with the loss of the last user reference, either it sees the
//!   loss, or the release sees the timer ([`slot`]).
//! - **R4** No operation waits for a callback that waits for it ([`cancel`]).
//! - **R5** Nothing sleeps, takes a sleeping lock or allocates under a lock. An operation that may
//!   have interrupted the hrtimer core or RCU leaves its work for later ([`drain`]).
//! - **R6** Memory is freed once, by one party, after every reader that could have found it is done
//!   ([`owner`]).
//! - **R7** No program can keep a CPU by what it makes the drain do ([`pace`]).
//! - **R8** Nothing waits for the return of a CPU that is offline ([`drain`]).

mod admit;
mod alarm;
mod backlog;
mod callback;
mod cancel;
mod drain;
mod expire;
mod exports;
mod info;
mod links;
mod owner;
mod pace;
mod slot;
mod start;
mod timer;
mod trace;
mod word;

#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
mod kunit;
