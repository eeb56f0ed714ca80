// SPDX-License-Identifier: GPL-2.0-only

//! Cancelling a timer.

use crate::{
    alarm::{
        Fit,
        For, //
    },
    drain::must_defer,
    timer::TimerPtr,
    trace,
    word::Word, //
};

use kernel::{
    prelude::*,
    time::hrtimer::soft::{
        CancelWait,
        TryCancel, //
    },
};

/// Returns what a cancellation of a timer that was armed, or was not, has done.
#[inline]
fn outcome(armed: bool) -> TryCancel {
    if armed {
        TryCancel::Cancelled
    } else {
        TryCancel::Inactive
    }
}

impl TimerPtr<'_> {
    /// Drops the callback, for a cancellation that has taken the time. Returns the word after that.
    ///
    /// A start that found the callback before it was dropped may change the word after the time was
    /// taken. Either this sees the start, or the start sees that there is no callback any more. An
    /// expiry may have begun to call for such a start. So if the word has a time again, the caller
    /// takes it again. If the word says that the callback runs, the caller waits for that.
    ///
    /// The time has to be taken before the callback is dropped. Otherwise the expiry could take the
    /// time, and find no callback.
    #[inline]
    fn drop_callback(self) -> Word {
        self.callback.clear();
        // Pairs with the exchange in `WantedWord::want()`, after which the start looks for the
        // callback again, and with that in `WantedWord::begin_run()`.
        self.word.load()
    }

    /// Cancels the timer and drops its callback. Returns [`TryCancel::Cancelled`] if it was armed,
    /// else [`TryCancel::Inactive`]. Callable in any context.
    ///
    /// No callback begins for a start that came before. If the callback runs, this waits for it to
    /// return. If [`CancelWait::may_wait`] forbids that, it fails with [`EBUSY`] instead of
    /// waiting, with all else done.
    ///
    /// [`EDEADLK`] if it would wait for itself, or for another callback that waits for the one that
    /// calls this (R4). Nothing is done then, unless the callback began during the call or, on
    /// `PREEMPT_RT`, somebody has begun to wait for this one.
    #[inline]
    pub(crate) fn cancel(self) -> Result<TryCancel> {
        if trace::cancel_is_on() {
            return trace::cancel(self, false, Self::cancel_and_fit);
        }
        self.cancel_and_fit()
    }

    // Inlined into `cancel()`, though that is not the only caller.
    #[inline(always)]
    fn cancel_and_fit(self) -> Result<TryCancel> {
        let old = self.word.take_unless_running();

        if old.is_running() {
            return self.cancel_running(false);
        }
        let armed = old.wanted().is_some();
        let since = self.drop_callback();

        if since.wanted().is_some() || since.is_running() {
            return self.cancel_overtaken(armed);
        }
        self.fit(since, For::Other);
        Ok(outcome(armed))
    }

    /// Cancels the timer when a start came between taking the time and dropping the callback.
    #[cold]
    fn cancel_overtaken(self, armed: bool) -> Result<TryCancel> {
        let (next, running) = self.cancel_next();

        if running {
            return self.cancel_running(armed || next);
        }
        Ok(outcome(armed || next))
    }

    /// Cancels the timer while its callback runs; `armed` says whether it was when the cancellation
    /// began.
    #[cold]
    fn cancel_running(self, mut armed: bool) -> Result<TryCancel> {
        if !CancelWait::may_wait() {
            // Whether the callback was interrupted does not change while this interrupts it.
            if self.expires_here() {
                return Err(EDEADLK);
            }
            self.cancel_next();
            return Err(EBUSY);
        }
        CancelWait::scope(self.alarm_ids(), |wait| {
            // The callback may start the timer until it has returned.
            loop {
                let (next, running) = self.cancel_next();

                armed |= next;
                if !running {
                    return Ok(outcome(armed));
                }
                while self.word.load().is_running() {
                    wait.relax()?;
                }
            }
        })
    }

    /// Cancels what a callback that runs may have started, and drops the callback. Returns whether
    /// the timer was armed, and whether the callback runs.
    fn cancel_next(self) -> (bool, bool) {
        let old = self.word.take();
        self.drop_callback();
        let since = self.word.take();

        self.fit_again();
        (
            old.wanted().or(since.wanted()).is_some(),
            old.is_running() || since.is_running(),
        )
    }

    /// Cancels the timer without waiting, and keeps its callback. Callable in any context.
    ///
    /// If the callback runs, does nothing else than to say so.
    ///
    /// [`ECANCELED`] where [`must_defer`] says so, [`ENOENT`] if the timer is dead, [`EINVAL`] if
    /// it is being made.
    #[inline]
    pub(crate) fn try_cancel(self) -> Result<TryCancel> {
        if trace::cancel_is_on() {
            return trace::cancel(self, true, Self::try_cancel_and_fit);
        }
        self.try_cancel_and_fit()
    }

    #[inline(always)]
    fn try_cancel_and_fit(self) -> Result<TryCancel> {
        let old = self.word.take_unless_running();

        if !old.is_alive() {
            return self.try_cancel_not_alive();
        }
        if old.is_running() {
            return self.try_cancel_running();
        }
        match self.fit(old.wanting_nothing(), For::Other) {
            Fit::Posted => Err(ECANCELED),
            Fit::Already if must_defer() => Err(ECANCELED),
            _ => Ok(outcome(old.wanted().is_some())),
        }
    }

    /// Leaves a timer alone whose callback runs.
    #[cold]
    fn try_cancel_running(self) -> Result<TryCancel> {
        if must_defer() {
            return Err(ECANCELED);
        }
        Ok(TryCancel::Running)
    }

    /// Cancels a timer that is not born, and so was never armed, or fails.
    #[cold]
    fn try_cancel_not_alive(self) -> Result<TryCancel> {
        self.find()?;
        if must_defer() {
            return Err(ECANCELED);
        }
        Ok(TryCancel::Inactive)
    }
}
