// SPDX-License-Identifier: GPL-2.0

//! Run statistics of programs.

use super::Prog;
use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// A run of a program, or of a function in it, that counts in the program's statistics.
///
/// C's `bpf_prog_run()` counts the runs of whole programs. A caller of a function of a program
/// counts the run here. Runs are counted while statistics are enabled, by the sysctl
/// `kernel.bpf_stats_enabled` or by `BPF_ENABLE_STATS`. Otherwise this costs a static branch.
#[must_use = "a run counts when it ends"]
pub struct Run<'a>(Option<Clocked<'a>>);

struct Clocked<'a> {
    prog: &'a Prog,
    /// In nanoseconds, of the `sched_clock()`, which only has a meaning on this CPU.
    begin: u64,
    _on_this_cpu: NotThreadSafe,
}

impl<'a> Run<'a> {
    /// Returns whether runs are counted.
    #[inline]
    pub fn are_counted() -> bool {
        // SAFETY: This is a static key that C defines.
        unsafe { crate::jump_label::static_branch_unlikely!(bindings::bpf_stats_enabled_key) }
    }

    /// Begins a run of the program that `prog` returns, which is only asked if runs are counted.
    ///
    /// Callable in any context.
    ///
    /// # Safety
    ///
    /// The caller must not migrate to another CPU before the run ends.
    #[inline]
    pub unsafe fn begin(prog: impl FnOnce() -> Option<&'a Prog>) -> Self {
        if !Self::are_counted() {
            return Self(None);
        }
        Self(prog().map(|prog| Clocked {
            prog,
            // SAFETY: Callable in any context.
            begin: unsafe { bindings::sched_clock() },
            _on_this_cpu: NotThreadSafe,
        }))
    }

    /// Ends the run. Callable in any context.
    #[inline]
    pub fn end(self) {
        if let Some(run) = self.0 {
            // SAFETY: Callable in any context.
            let nsecs = unsafe { bindings::sched_clock() }.wrapping_sub(run.begin);

            // SAFETY: A `&Prog` is a valid program. By the safety requirement of `begin()`, the
            // caller has stayed on this CPU, so it may write the statistics of this CPU.
            unsafe { bindings::bpf_prog_count_run(run.prog.as_ptr(), nsecs) };
        }
    }
}
