// SPDX-License-Identifier: GPL-2.0-only

//! The expiry of a timer.

use crate::{
    timer::Timer,
    trace,
    wall::Which, //
};

use kernel::{
    bpf::Run,
    time::hrtimer::dynamic::{
        DynHrTimer,
        DynHrTimerCallback, //
    }, //
};

impl DynHrTimerCallback for Timer {
    fn run(&self) {
        match self.wall() {
            None => self.expire(&self.hrtimer),
            Some(wall) => wall.expire(&self.hrtimer, Which::Relative),
        }
    }
}

impl Timer {
    /// Calls the callback, if the timer has one and is not dead; `hrtimer` is what expired.
    pub(crate) fn expire<T: DynHrTimerCallback>(&self, hrtimer: &DynHrTimer<T>) {
        // First of all, since it is the callback's program that keeps the map.
        let Some(callback) = self.callback.get() else {
            return;
        };
        // R1: Dead is final, so a callback that begins here does so within the grace period after
        // the death.
        let Ok(map) = self.map() else {
            return;
        };
        let value = self.value();
        let mut index = 0;

        // By the type invariants of `Timer` this is the value of an element of the map.
        let key = map.key_of_value(value, &mut index);

        trace::expire_entry(self, || hrtimer.expires());
        // SAFETY: Softirqs are RCU readers, and the run ends in this one.
        let run = Run::begin(|| unsafe { self.callback.prog() });

        // SAFETY: The verifier has admitted the callback for softirq context and for these
        // arguments, which are valid by the type invariants of `Timer`; its code is valid in this
        // RCU read-side section (R2). The result is zero, as the verifier has checked.
        unsafe { callback.call(map, key, value) };

        run.end();
        trace::expire_exit(self);
    }
}
