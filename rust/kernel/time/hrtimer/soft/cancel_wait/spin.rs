// SPDX-License-Identifier: GPL-2.0

//! Waits without `PREEMPT_RT`: a caller spins until the callback of one of its timers has returned.

use super::{
    expiring_here,
    Target,
    TimerId, //
};
use crate::{
    prelude::*,
    processor::cpu_relax, //
};

/// Returns what a caller waits for if it waits for the callback of `timer`.
pub(super) fn target(timer: TimerId<'_>) -> Target {
    Target(timer.0.addr())
}

/// Returns the target of those who wait for the expiry that the caller is in; `None` if it is in
/// none. For softirq context.
pub(super) fn own_target() -> Option<Target> {
    match Target(expiring_here().addr()) {
        Target::NOTHING => None,
        own => Some(own),
    }
}

/// Returns whether a caller that has not interrupted anybody may wait.
#[inline(always)]
pub(super) fn may_wait() -> bool {
    true
}

/// Waits a moment.
#[inline(always)]
pub(super) fn wait(_: &[TimerId<'_>], _own: Option<Target>) -> Result {
    cpu_relax();
    Ok(())
}

/// Calls the callback of a timer, in its expiry.
#[inline(always)]
pub(super) fn call(callback: impl FnOnce()) {
    callback();
}
