// SPDX-License-Identifier: GPL-2.0-only

//! The callback of a timer, and the program that it belongs to.

use kernel::{
    bindings,
    bpf::{
        Callback,
        Prog,
        ProgRef, //
    },
    ffi::c_void,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Full,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        barrier::{
            self,
            smp_mb, //
        },
    },
};

use core::ptr::{
    self,
    NonNull, //
};

/// A callback and a reference to its program. Both can be replaced in any context.
///
/// The two are written one after the other. A writer goes on until it has read back what it wrote.
/// So while no writer is at work, both are from the same call of [`Self::set`]. A reader in between
/// can see the callback of a writer that has not finished. That writer still holds a reference.
///
/// # Invariants
///
/// - `prog` is null, or a program, and `self` owns a reference to it.
/// - `code` is null or the code of a callback. A reference to the program of that callback is held,
///   by `prog` or by a writer that is still at work, or was dropped less than a grace period ago.
pub(crate) struct CallbackCell {
    prog: Atomic<*mut bindings::bpf_prog>,
    code: Atomic<*mut c_void>,
}

impl CallbackCell {
    pub(crate) const fn new() -> Self {
        // INVARIANT: Both are null.
        Self {
            prog: Atomic::new(ptr::null_mut()),
            code: Atomic::new(ptr::null_mut()),
        }
    }

    /// Returns whether a callback is set, so that an expiry from now on finds one.
    ///
    /// This looks for the code, since an expiry does so, too. A writer writes the code last, so the
    /// program may be there before.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        // Relaxed: pairs with the stores in `replace()` and `clear()`. A start asks before and
        // after its exchange of the word, which is Full. Before: an expiry that finds the word of
        // that start loads the code later, so it does not find what was there earlier. After: if a
        // cancellation has dropped the callback, either this sees that, or its second look at the
        // word, in `drop_callback()`, sees the start.
        !self.code.load(Relaxed).is_null()
    }

    /// Returns the program.
    ///
    /// # Safety
    ///
    /// The caller must be in an RCU read-side section (of Tasks Trace RCU alone is not enough), and
    /// not use the program after its end.
    pub(crate) unsafe fn prog(&self) -> Option<&Prog> {
        // Relaxed: pairs with the exchange in `replace()`. What is read through the pointer was
        // written before that, and the reads depend on the address.
        let prog = NonNull::new(self.prog.load(Relaxed))?;

        // SAFETY: By the type invariants `self` held a reference to the program at the load. The
        // caller is an RCU reader, so the program is not freed before the section ends.
        Some(unsafe { Prog::from_raw(prog.as_ptr()) })
    }

    /// Returns the callback, whose code stays valid until the end of the RCU read-side section that
    /// the caller is in (R2).
    #[inline]
    pub(crate) fn get(&self) -> Option<Callback> {
        // Acquire: pairs with the Release in `replace()`, so that what the program's owner wrote
        // before it set the callback is there for the callback.
        let code = NonNull::new(self.code.load(Acquire))?;

        // SAFETY: By the type invariants.
        Some(unsafe { Callback::from_raw(code) })
    }

    /// Sets the callback and takes a reference to its program; [`ENOENT`] if that is going away.
    ///
    /// The program that was there before loses its reference. Callable in any context.
    ///
    /// # Safety
    ///
    /// `callback` must be a function of `prog`.
    #[inline]
    pub(crate) unsafe fn set(&self, prog: &Prog, callback: Callback) -> Result {
        // The same again: nothing to write. Relaxed: nothing is read through the pointers, and a
        // concurrent writer may as well have come after this call.
        if self.prog.load(Relaxed) == prog.as_ptr() && self.code.load(Relaxed) == callback.as_ptr()
        {
            return Ok(());
        }
        // SAFETY: By the safety requirement.
        unsafe { self.set_other(prog, callback) }
    }

    /// Does what [`Self::set`] does, if there is another callback.
    ///
    /// # Safety
    ///
    /// As for [`Self::set`].
    #[inline(never)]
    unsafe fn set_other(&self, prog: &Prog, callback: Callback) -> Result {
        // Keeps the code alive while it is set here without a program of its own (R2).
        let guard = prog.try_get()?;

        // SAFETY: By the safety requirement.
        unsafe { self.replace(&guard, callback.as_ptr()) };
        Ok(())
    }

    /// Drops the callback and the reference to its program; comes before what follows. Callable in
    /// any context.
    #[inline]
    pub(crate) fn clear(&self) {
        // Nothing to write, as in `set()`.
        // Acquire: what follows comes after, as it does after the exchange below. Pairs with that
        // of another who has dropped the callback.
        if self.prog.load(Acquire).is_null() && self.code.load(Acquire).is_null() {
            return;
        }
        loop {
            // Relaxed: pairs with the load in `is_set()`, through the exchange that follows.
            self.code.store(ptr::null_mut(), Relaxed);
            // INVARIANT: The reference moves out of `self`; the code was taken out before.
            // Full: pairs with the barrier in `replace()`. Either the writer there does not read
            // back its program, or this sees its code. Pairs with the xchg of other writers, too:
            // each reference is taken by one.
            self.put_old(self.prog.xchg(ptr::null_mut(), Full));
            // Relaxed: pairs with the stores of another writer, and is ordered by the exchange.
            if self.code.load(Relaxed).is_null() {
                return;
            }
        }
    }

    /// Replaces the callback and the reference to its program.
    ///
    /// # Safety
    ///
    /// `code` must be the code of a callback of the program of `guard`.
    unsafe fn replace(&self, guard: &ProgRef, code: *mut c_void) {
        loop {
            let prog = guard.clone().into_raw().as_ptr();

            // INVARIANT: The reference moves into `self`; `guard` is another one.
            // Full: hands the old reference over, and pairs with the xchg of other writers: each
            // reference is taken by one.
            let old = self.prog.xchg(prog, Full);
            // INVARIANT: `guard` is a reference to the program of the code, by a writer at work.
            // Release: pairs with the Acquire in `get()`.
            self.code.store(code, Release);
            self.put_old(old);

            // At least one of two writers sees what the other wrote last, and goes round again.
            // Otherwise this `code` could follow the other's and stay, with the other's program.
            // Pairs with the same barrier in the other writer, and with the exchange in `clear()`.
            smp_mb(barrier::Full);
            // Relaxed: pairs with the stores of another writer, and is ordered by the barrier.
            if self.prog.load(Relaxed) == prog && self.code.load(Relaxed) == code {
                return;
            }
        }
    }

    /// Drops the reference to a program that an exchange of `self.prog` has returned.
    #[inline]
    fn put_old(&self, old: *mut bindings::bpf_prog) {
        // SAFETY: By the type invariants, `old` had a reference, which the exchange made ours.
        drop(NonNull::new(old).map(|old| unsafe { ProgRef::from_raw(old) }));
    }
}

impl Drop for CallbackCell {
    fn drop(&mut self) {
        self.clear();
    }
}
