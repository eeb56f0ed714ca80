// SPDX-License-Identifier: GPL-2.0-only

//! What a program can ask about a timer.
//!
//! The [word](crate::word) says when the timer is to expire, so one load of it is the answer. No
//! operation keeps a record for this.

use crate::{
    timer::TimerPtr,
    word::{
        Time,
        Word, //
    }, //
};

use kernel::{
    bindings,
    prelude::*,
    sync::rcu, //
};

impl TimerPtr<'_> {
    /// Returns what `bpf_timer_info()` says about the timer. Callable in any context.
    ///
    /// [`ENOENT`] if the timer is dead, [`EINVAL`] if it is being made.
    pub(crate) fn info(self) -> Result<bindings::bpf_timer_info> {
        let word = self.word.load();

        word.check_alive()?;
        let clock = self.clock_of(word);
        let expires = word.wanted().map_or(0, Time::nsecs);
        let remaining = expires.saturating_sub(clock.now_fast()).max(0);

        Ok(bindings::bpf_timer_info {
            expires: expires as u64,
            remaining: remaining as u64,
            prog_id: self.prog_id(),
            clockid: clock as u32,
            cpu: self.alarm_cpu(word).map_or(-1, |cpu| cpu as i32),
            flags: flags_of(word),
        })
    }

    /// Returns the id of the program that has set the callback; zero if there is none.
    pub(crate) fn prog_id(self) -> u32 {
        // The caller may be a reader of RCU Tasks Trace alone, which the program may not wait for.
        let _reader = rcu::read_lock();

        // SAFETY: In the section of `_reader`.
        unsafe { self.callback.prog() }.map_or(0, |prog| prog.id())
    }
}

/// Returns the flags of `struct bpf_timer_info`.
fn flags_of(word: Word) -> u32 {
    let flag = |is_set: bool, flag: bindings::bpf_timer_info_flags| if is_set { flag } else { 0 };

    flag(
        word.wanted().is_some(),
        bindings::bpf_timer_info_flags_BPF_TIMER_ARMED,
    ) | flag(
        word.is_running(),
        bindings::bpf_timer_info_flags_BPF_TIMER_RUNNING,
    ) | flag(
        word.is_pinned(),
        bindings::bpf_timer_info_flags_BPF_TIMER_PINNED,
    )
}
