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
        soft_now,
        ItemPtr,
        SoftHrTimerCallback, //
    },
};

impl SoftHrTimerCallback for Timer {
    #[inline(always)]
    fn run(this: ItemPtr<'_, Self>) {
        TimerPtr::from(this).expire();
    }
}

impl TimerPtr<'_> {
    /// Calls the callback if the wanted time has come, for the expiry of an alarm.
    ///
    /// If it has not, makes the alarms fit: the timer was pushed back, or cancelled, or its clock
    /// was set.
    #[inline(always)]
    pub(crate) fn expire(self) {
        let word = self.word.load();

        // Mostly the time had come when the softirq began. The monotonic clock can be asked for
        // times on the others, too, since none of them can be set to before it.
        if !(word.is_due_by(soft_now()) && !word.is_running() && self.run(word)) {
            self.expire_ordered();
        }
    }

    /// Does what [`Self::expire`] does, if the word does not say at once that a time has come.
    ///
    /// The hrtimer core has taken the alarm off its queue without a barrier. After a barrier, an
    /// operation that has changed the word sees that, or this sees the change.
    #[cold]
    fn expire_ordered(self) {
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
            if self.run(word) {
                return;
            }
        }
    }

    /// Takes the time and calls the callback; returns false if the word is not `word` any more.
    /// The time in `word` must have come, and `word` must not say that the callback runs.
    #[inline(always)]
    fn run(self, word: Word) -> bool {
        // Between the word and the exchange. Before, it could be that of an earlier start; after,
        // that of nobody who has started the timer.
        let callback = self.callback.get();
        let map = self.links.map();

        if !self.word.begin_run(word) {
            return false;
        }
        if let Some(callback) = callback {
            // SAFETY: The timer was alive after the pointer was read, so that is the map, and by
            // the type invariants the element is one of it; both are valid, as there is a callback.
            let element = unsafe { Element::from_value(&*map, self.value()) };

            self.call(callback, element, word);
        }
        self.fit_after_run(self.word.end_run());
        true
    }

    #[inline(always)]
    fn call(self, callback: Callback, element: Element<'_>, word: Word) {
        if trace::expire_is_on() || Run::are_counted() {
            return self.call_observed(callback, element, word);
        }
        // SAFETY: The verifier has admitted the callback for softirq context and for elements of
        // the map; its code is valid in this RCU read-side section (R2), since softirqs are readers
        // of RCU. The result is zero, as the verifier has checked.
        unsafe { callback.call(element) };
    }

    /// Does what [`Self::call`] does, traced and with statistics.
    #[cold]
    fn call_observed(self, callback: Callback, element: Element<'_>, word: Word) {
        trace::expire_entry(self, word);
        // SAFETY: Softirqs are RCU readers, and the run ends in this one.
        let run = Run::begin(|| unsafe { self.callback.prog() });

        // SAFETY: As in `call()`.
        unsafe { callback.call(element) };

        run.end();
        trace::expire_exit(self);
    }
}
