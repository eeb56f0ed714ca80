// SPDX-License-Identifier: GPL-2.0-only

//! KUnit suites of the timer: real timers and memory, in maps and programs made up for the tests.

mod cpus;
mod deferred;
mod expiry;
mod fixture;
mod life;
mod operations;
mod place;
mod wall;
