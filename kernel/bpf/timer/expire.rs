// SPDX-License-Identifier: GPL-2.0-only

//! The expiry of a timer.

use crate::{
    alarm::For,
    timer::{
        Timer,
        TimerPtr, //
    },
    trace,
    word::Word, //
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
        SoftExpiry,
        SoftHrTimerCallback, //
    },
};

impl SoftHrTimerCallback for Timer {
    #[inline(always)]
    fn run(this: ItemPtr<'_, Self>, expiry: &SoftExpiry) {
        TimerPtr::from(this).expire(expiry);
    }
}

impl TimerPtr<'_> {
    /// Calls the callback if the wanted time has come, for the expiry of an alarm.
    ///
    /// If it has not, makes the alarms fit: the timer was pushed back, or cancelled, or its clock
    /// was set.
    #[inline(always)]
    pub(crate) fn expire(self, expiry: &SoftExpiry) {
        let word = self.word.load();

        // Mostly the time had come when the softirq began. The monotonic clock can be asked for
        // times on the others, too, since none of them can be set to before it.
        if !(word.is_due_by(expiry.began()) && !word.is_running() && self.run(word, expiry)) {
            self.expire_ordered(expiry);
        }
    }

    /// Does what [`Self::expire`] does, if the word does not say at once that a time has come.
    ///
    /// The hrtimer core has taken the alarm off its queue without a barrier. After a barrier, an
    /// operation that has changed the word sees that, or this sees the change.
    #[cold]
    fn expire_ordered(self, expiry: &SoftExpiry) {
        // Pairs with the exchanges of the word.
        smp_mb(Full);
        loop {
            let word = self.word.load();

            // If the callback runs, its expiry makes the alarms fit at the end.
            if word.wanted().is_none() || word.is_running() {
                return;
            }
            // Only a clock tells: the alarm may have been armed again since it expired.
            if !word.is_due_by(self.clock_of(word).now()) {
                self.fit(word, For::Other);
                return;
            }
            // Otherwise, somebody has changed the word.
            if self.run(word, expiry) {
                return;
            }
        }
    }

    /// Takes the time and calls the callback; returns false if the word is not `word` any more.
    /// The time in `word` must have come, and `word` must not say that the callback runs.
    #[inline(always)]
    fn run(self, word: Word, expiry: &SoftExpiry) -> bool {
        // Load the callback after the word and before the exchange. If it were loaded earlier, it
        // could be that of an earlier start. If it were loaded later, it could be one for which
        // nobody has started the timer.
        let callback = self.callback.get();
        let map = self.links.map();

        let Some(running) = self.word.begin_run(word) else {
            return false;
        };
        if let Some(callback) = callback {
            // SAFETY: `begin_run()` found the timer alive after `links.map()`, so this is its map.
            // By the invariants of `Timer`, the map and the value are valid, as there is a
            // callback, and the map is not per-CPU. `expiry` says that this is a read-side section.
            let element = unsafe { Element::from_value(&*map, self.value()) };

            self.call(callback, element, word, expiry);
        }
        self.fit_after_run(self.word.end_run(running));
        true
    }

    #[inline(always)]
    fn call(self, callback: Callback, element: Element<'_>, word: Word, expiry: &SoftExpiry) {
        if trace::expire_is_on() || Run::are_counted() {
            return self.call_observed(callback, element, word, expiry);
        }
        // SAFETY: The verifier has admitted the callback for softirq context and for elements of
        // the map. Its code is valid (R2), since `expiry` says that this is an RCU read-side
        // section. The result is zero, as the verifier has checked.
        unsafe { callback.call(element) };
    }

    /// Does what [`Self::call`] does, traced and with statistics.
    #[cold]
    fn call_observed(self, callback: Callback, element: Element<'_>, word: Word, _: &SoftExpiry) {
        trace::expire_entry(self, word);
        // SAFETY: The expiry is an RCU read-side section that does not migrate. The run ends in it.
        let run = unsafe { Run::begin(|| self.callback.prog()) };

        // SAFETY: As in `call()`.
        unsafe { callback.call(element) };

        run.end();
        trace::expire_exit(self);
    }
}
