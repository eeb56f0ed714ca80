// SPDX-License-Identifier: GPL-2.0-only

//! The expiry of a timer.

use crate::timer::Timer;

use kernel::{
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
    time::hrtimer::{
        dynamic::DynHrTimerCallback,
        HrTimerRestart, //
    },
};

use core::ptr;

kernel::define_per_cpu! {
    /// The timer whose callback runs on the CPU: one at most, as softirqs do not nest.
    static RUNNING: Atomic<*mut Timer> = Atomic::new(ptr::null_mut());
}

/// Returns the timer in whose callback the caller is, which stays valid until that returns.
///
/// The caller must not be able to migrate, as is the case for BPF programs.
pub(crate) fn running_here<'a>() -> Option<&'a Timer> {
    // Relaxed: written by this CPU, which runs the callback.
    let running = RUNNING.this_cpu().load(Relaxed);

    // SAFETY: An expiry is a reader of RCU, and its timer is not freed before it ends.
    unsafe { running.as_ref() }
}

impl DynHrTimerCallback for Timer {
    fn run(&self) -> HrTimerRestart {
        // R1: Dead is final, so a callback that begins here began before the death.
        let callback = (!self.command.is_dead())
            .then(|| self.callback.get())
            .flatten();

        if let Some(callback) = callback {
            let running = RUNNING.this_cpu();
            let mut index = 0;

            // SAFETY: By the type invariants of `Timer` this is the value of an element of the map.
            let key = unsafe { self.map().key_of_value(self.value, &mut index) };

            running.store(ptr::from_ref(self).cast_mut(), Relaxed);
            // SAFETY: The verifier has admitted the callback for softirq context and for these
            // arguments, which are valid by the type invariants of `Timer`; its code is valid in
            // this RCU read-side section (R2). The result is zero, as the verifier has checked.
            unsafe { callback.call(self.map(), key, self.value) };
            running.store(ptr::null_mut(), Relaxed);
        }
        HrTimerRestart::NoRestart
    }
}
