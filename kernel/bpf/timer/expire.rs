// SPDX-License-Identifier: GPL-2.0-only

//! The expiry of a timer.

use crate::{
    alarm::By,
    timer::Timer,
    trace,
    word::Time, //
};

use kernel::{
    bpf::{
        Callback,
        Map,
        Run, //
    },
    sync::barrier::{
        smp_mb,
        Full, //
    },
    time::hrtimer::dynamic::DynHrTimerCallback,
};

impl DynHrTimerCallback for Timer {
    fn run(&self) {
        self.expire();
    }
}

impl Timer {
    /// Calls the callback if the wanted time has come, for the expiry of an alarm.
    ///
    /// If it has not, makes the alarms fit: the timer was pushed back, or cancelled, or its clock
    /// was set.
    pub(crate) fn expire(&self) {
        let mut ordered = false;

        loop {
            let word = self.word.load();

            match word.wanted() {
                // Only a clock that is read after the word tells that the time has come: the alarm
                // may have been armed again since it expired.
                Some(time) if !word.is_running() && time.nsecs() <= self.clock_of(word).now() => {
                    // Between the word and the exchange. Before, it could be that of an earlier
                    // start; after, that of nobody who has started the timer.
                    let callback = self.callback.get();
                    let map = self.links.map();

                    if !self.word.begin_run(word) {
                        continue;
                    }
                    if let Some(callback) = callback {
                        // SAFETY: The timer was alive after the pointer was read, so that is the
                        // map; it is valid by the type invariants, as there is a callback.
                        self.call(callback, unsafe { &*map }, time);
                    }
                    self.fit_after_run(self.word.end_run());
                    return;
                }
                _ if !ordered => {
                    // That the alarm is not queued was written without a barrier. Who has changed
                    // the word sees it, or this sees the change. Pairs with the exchanges of the
                    // word.
                    smp_mb(Full);
                    ordered = true;
                }
                // Who runs the callback makes the alarms fit at its end.
                Some(_) if word.is_running() => return,
                Some(_) => {
                    self.fit(By::Other);
                    return;
                }
                None => return,
            }
        }
    }

    fn call(&self, callback: Callback, map: &Map, time: Time) {
        let value = self.value();
        let mut index = 0;

        // By the type invariants of `Timer` this is the value of an element of the map.
        let key = map.key_of_value(value, &mut index);

        trace::expire_entry(self, time);
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
