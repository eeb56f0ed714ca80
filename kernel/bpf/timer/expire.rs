// SPDX-License-Identifier: GPL-2.0-only

//! The expiry of a timer.

use crate::{
    alarm::For,
    timer::{
        Timer,
        TimerPtr, //
    },
    trace,
    word::Time, //
};

use kernel::{
    bpf::{
        Callback,
        Element,
        Run, //
    },
    sync::barrier::{
        smp_mb,
        Full, //
    },
    time::hrtimer::soft::{
        ItemPtr,
        SoftHrTimerCallback, //
    },
};

impl SoftHrTimerCallback for Timer {
    fn run(this: ItemPtr<'_, Self>) {
        TimerPtr::from(this).expire();
    }
}

impl TimerPtr<'_> {
    /// Calls the callback if the wanted time has come, for the expiry of an alarm.
    ///
    /// If it has not, makes the alarms fit: the timer was pushed back, or cancelled, or its clock
    /// was set.
    pub(crate) fn expire(self) {
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
                        // map, and by the type invariants the element is one of it; both are valid,
                        // as there is a callback.
                        let element = unsafe { Element::from_value(&*map, self.value()) };

                        self.call(callback, element, time);
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
                    self.fit(word, For::Other);
                    return;
                }
                None => return,
            }
        }
    }

    fn call(self, callback: Callback, element: Element<'_>, time: Time) {
        trace::expire_entry(self, time);
        // SAFETY: Softirqs are RCU readers, and the run ends in this one.
        let run = Run::begin(|| unsafe { self.callback.prog() });

        // SAFETY: The verifier has admitted the callback for softirq context and for elements of
        // the map; its code is valid in this RCU read-side section (R2). The result is zero, as the
        // verifier has checked.
        unsafe { callback.call(element) };

        run.end();
        trace::expire_exit(self);
    }
}
