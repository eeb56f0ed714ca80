// SPDX-License-Identifier: GPL-2.0

//! BPF programs and the functions in them.
//!
//! C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)

mod put;
mod run;

pub use run::Run;

use super::Element;
use crate::{
    bindings,
    ffi::c_void,
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Full,
            Relaxed,
            Release, //
        },
        Atomic, //
    },
    types::Opaque, //
};

use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};

/// A BPF program, which may be on its way out: its reference count can be zero.
///
/// Wraps the kernel's C `struct bpf_prog`. It cannot be an
/// [`AlwaysRefCounted`](crate::sync::aref::AlwaysRefCounted), since taking a reference [may
/// fail](Prog::try_get).
///
/// "In any context" includes NMI only if the architecture has `CONFIG_ARCH_HAVE_NMI_SAFE_CMPXCHG`,
/// and not `CONFIG_GENERIC_ATOMIC64`, with which the count of references is under a lock.
///
/// # Invariants
///
/// `aux` of the program is valid as long as the program.
#[repr(transparent)]
pub struct Prog(Opaque<bindings::bpf_prog>);

// SAFETY: Programs are freed by RCU from any context, and shared by all CPUs.
unsafe impl Send for Prog {}
// SAFETY: As above; the count is atomic, and the one field that is read otherwise is a word that C
// changes but once.
unsafe impl Sync for Prog {}

impl Prog {
    /// Creates a reference to a C program.
    ///
    /// # Safety
    ///
    /// `prog` must be valid for `'a`. It is valid while it runs, and while somebody holds a
    /// reference. An RCU reader that has found it where a reference was held may use it until its
    /// section ends. So may a reader of RCU Tasks Trace alone, if the program is sleepable.
    #[inline]
    pub unsafe fn from_raw<'a>(prog: *mut bindings::bpf_prog) -> &'a Self {
        // INVARIANT: C frees the two together.
        // CAST: `Prog` is transparent over an `Opaque<bpf_prog>`.
        // SAFETY: By the safety requirement.
        unsafe { &*prog.cast::<Self>() }
    }

    /// Returns the C program.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::bpf_prog {
        self.0.get()
    }

    /// Returns the number that user space knows the program by; zero once it has lost it.
    #[inline]
    pub fn id(&self) -> u32 {
        // SAFETY: `aux` is valid by the type invariants. C stores to the field plainly, and an
        // aligned store of a word is taken for atomic.
        let id = unsafe { Atomic::from_ptr(&raw mut (*(*self.as_ptr()).aux).id) };

        // Relaxed: only shown.
        id.load(Relaxed)
    }

    /// Takes a reference; [`ENOENT`] if the last one is gone. Callable in any context.
    #[inline]
    pub fn try_get(&self) -> Result<ProgRef> {
        let refs = self.refs();

        // Relaxed: the exchange fails if this is not the count any more.
        let mut count = refs.load(Relaxed);
        while count != 0 {
            // Full: as is the increment that tests for zero in C. Nothing here pairs with it.
            match refs.cmpxchg(count, count.wrapping_add(1), Full) {
                // INVARIANT: The reference was just counted.
                Ok(_) => return Ok(ProgRef(NonNull::from(self).cast())),
                Err(now) => count = now,
            }
        }
        Err(ENOENT)
    }

    /// Returns the count of references.
    #[inline]
    fn refs(&self) -> &Atomic<i64> {
        // SAFETY: `aux` is valid by the type invariants, and C accesses the count with atomic
        // operations.
        unsafe { Atomic::from_ptr(&raw mut (*(*self.as_ptr()).aux).refcnt.counter) }
    }
}

/// A reference to a BPF program, which keeps it loaded.
///
/// May be dropped in any context, with any lock held. Dropping the last reference unloads the
/// program soon after, and after a grace period.
///
/// # Invariants
///
/// `self.0` is a valid program, and one of its references is owned by `self`.
pub struct ProgRef(NonNull<bindings::bpf_prog>);

// SAFETY: A reference may be dropped anywhere.
unsafe impl Send for ProgRef {}
// SAFETY: It only gives access to a `Prog`, which is `Sync`.
unsafe impl Sync for ProgRef {}

impl Deref for ProgRef {
    type Target = Prog;

    #[inline]
    fn deref(&self) -> &Prog {
        // SAFETY: By the type invariants the program is valid as long as `self`.
        unsafe { Prog::from_raw(self.0.as_ptr()) }
    }
}

impl ProgRef {
    /// Takes over a reference that C or [`Self::into_raw`] gave up.
    ///
    /// # Safety
    ///
    /// `prog` must be valid, with a reference that nobody else will drop.
    #[inline]
    pub unsafe fn from_raw(prog: NonNull<bindings::bpf_prog>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(prog)
    }

    /// Gives up the reference without dropping it.
    #[inline]
    pub fn into_raw(self) -> NonNull<bindings::bpf_prog> {
        ManuallyDrop::new(self).0
    }
}

impl Clone for ProgRef {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed: orders nothing, as our own reference keeps the program.
        self.refs().add(1, Relaxed);
        // INVARIANT: The reference was just counted.
        Self(self.0)
    }
}

impl Drop for ProgRef {
    #[inline]
    fn drop(&mut self) {
        let refs = self.refs();

        // Acquire: if ours is the only reference, pairs with the Release below that dropped the
        // last but one. So all use of the program comes before `last()` writes to it.
        let mut count = refs.load(Acquire);
        while count > 1 {
            // Release: pairs with the Acquire of whoever finds one reference left, and with the
            // atomic64_dec_and_test() in bpf_prog_put() of whoever drops that.
            match refs.cmpxchg(count, count - 1, Release) {
                Ok(_) => return,
                // Acquire: as above. An exchange that fails orders nothing.
                Err(_) => count = refs.load(Acquire),
            }
        }
        // SAFETY: By the type invariants, the reference is ours to drop; no other one was left.
        unsafe { put::last(self.0) };
    }
}

/// A function of a BPF program that the kernel calls back.
///
/// # Invariants
///
/// `self.0` is the code of a BPF function that was verified as a callback. It is valid only while
/// its program is; whoever calls it must know so.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Callback(NonNull<c_void>);

// SAFETY: Code may be called from anywhere.
unsafe impl Send for Callback {}
// SAFETY: As above.
unsafe impl Sync for Callback {}

impl Callback {
    /// Creates a callback from the pointer that the verifier puts for a `PTR_TO_FUNC` argument.
    ///
    /// # Safety
    ///
    /// `code` must be such a pointer.
    #[inline]
    pub unsafe fn from_raw(code: NonNull<c_void>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(code)
    }

    /// Returns the address of the code.
    #[inline]
    pub fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr()
    }

    /// Calls the function for an element of a map, with the map, the key and the value.
    ///
    /// # Safety
    ///
    /// - The program must be valid until this returns.
    /// - The verifier must have admitted the callback for this context, and for elements of this
    ///   map.
    #[inline]
    pub unsafe fn call(self, element: Element<'_>) -> u64 {
        let mut index = 0;
        let map = element.map().as_ptr();
        let key = element.key(&mut index);
        let value = element.value().as_ptr();
        // SAFETY: All BPF functions have this type, `bpf_callback_t`.
        let code: unsafe extern "C" fn(u64, u64, u64, u64, u64) -> u64 =
            unsafe { core::mem::transmute(self.0) };

        // SAFETY: By the type invariants this is a BPF function; the rest is the caller's promise.
        unsafe { code(map as u64, key as u64, value as u64, 0, 0) }
    }
}
