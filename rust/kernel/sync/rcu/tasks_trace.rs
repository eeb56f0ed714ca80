// SPDX-License-Identifier: GPL-2.0

//! Tasks Trace RCU: the flavour whose readers may sleep, as BPF programs do.
//!
//! A reader has a [`Guard`]. [`call`] hands an item over, to be taken care of after a grace period.
//! A Tasks Trace grace period implies one of normal RCU, so readers of both kinds are done by then.
//!
//! C header: [`include/linux/rcupdate_trace.h`](srctree/include/linux/rcupdate_trace.h)
//!
//! # Examples
//!
//! ```
//! use core::ptr::NonNull;
//! use kernel::sync::rcu::tasks_trace::{self, RcuHead, RcuItem};
//! use kernel::sync::{Arc, Completion};
//!
//! struct Node {
//!     head: RcuHead,
//!     done: Arc<Completion>,
//! }
//!
//! struct Retired(KBox<Node>);
//!
//! // SAFETY: The head is a field of the box's content, which nobody else has.
//! unsafe impl RcuItem for Retired {
//!     fn into_head(self) -> NonNull<RcuHead> {
//!         let node = KBox::into_raw(self.0);
//!         // SAFETY: `node` is live, and a field of it is not at address zero.
//!         unsafe { NonNull::new_unchecked(&raw mut (*node).head) }
//!     }
//!
//!     unsafe fn from_head(head: NonNull<RcuHead>) -> Self {
//!         // SAFETY: `head` is that of a node which `into_head()` took out of a box.
//!         Self(unsafe { KBox::from_raw(kernel::container_of!(head.as_ptr(), Node, head)) })
//!     }
//!
//!     fn after_grace_period(self) {
//!         self.0.done.complete_all();
//!     }
//! }
//!
//! let done = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
//! let node = Node { head: RcuHead::new(), done: done.clone() };
//!
//! tasks_trace::call(Retired(KBox::new(node, GFP_KERNEL)?));
//! done.wait_for_completion();
//! # Ok::<(), Error>(())
//! ```

use crate::{
    bindings,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

use core::ptr::NonNull;

/// Says that the current task is a reader, until this is dropped.
///
/// # Invariants
///
/// The task is in a Tasks Trace RCU read-side section.
#[must_use = "the section ends when the guard is dropped"]
pub struct Guard(NotThreadSafe);

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::rcu_read_unlock_trace() };
    }
}

/// Begins a read-side section. In any context; the reader may sleep if the context allows that.
#[inline]
pub fn read_lock() -> Guard {
    // SAFETY: Callable in any context.
    unsafe { bindings::rcu_read_lock_trace() };
    // INVARIANT: The section has just begun.
    Guard(NotThreadSafe)
}

/// Room in an item for RCU to link it into its queues.
///
/// Wraps the kernel's C `struct rcu_head`.
#[repr(transparent)]
pub struct RcuHead(Opaque<bindings::callback_head>);

impl RcuHead {
    /// Creates a head; RCU needs no particular content.
    #[inline]
    pub const fn new() -> Self {
        Self(Opaque::zeroed())
    }
}

impl Default for RcuHead {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: The content means something to RCU only.
unsafe impl Send for RcuHead {}
// SAFETY: As above; a shared reference gives no access to it.
unsafe impl Sync for RcuHead {}

/// Owning pointers to items that are to be taken care of after a grace period.
///
/// # Safety
///
/// - [`into_head`] must return a pointer to a valid head that nothing but RCU writes to until the
///   pointer is passed to [`from_head`]. Others may read its words only if any value will do: RCU
///   writes there at any time, and not atomically.
/// - [`from_head`] must be the inverse of [`into_head`].
/// - A module that can get a `Self` must call [`barrier`] after its last [`call`] with one and
///   before it is unloaded: what RCU calls is code of the module, whichever crate `Self` is from.
///
/// [`into_head`]: RcuItem::into_head
/// [`from_head`]: RcuItem::from_head
pub unsafe trait RcuItem: Sized + Send + 'static {
    /// Gives the item up, without dropping it, and returns the head that stands for it.
    fn into_head(self) -> NonNull<RcuHead>;

    /// Takes the item back.
    ///
    /// # Safety
    ///
    /// `head` must come from [`into_head`](RcuItem::into_head), and must be passed here once.
    unsafe fn from_head(head: NonNull<RcuHead>) -> Self;

    /// Called when a grace period has passed since [`call`], in softirq or task context with
    /// bottom halves off; must not sleep. May pass the item to [`call`] again.
    fn after_grace_period(self);
}

/// Calls [`RcuItem::after_grace_period`] after a Tasks Trace RCU grace period, and with it an RCU
/// grace period, has passed.
///
/// Must not be called in NMI, nor with interrupts off where the interrupted code may be RCU's own:
/// hand the item to an [`IrqWork`](crate::irq_work::IrqWork) there first. All that the caller wrote
/// before is visible to the callback.
#[inline]
pub fn call<P: RcuItem>(item: P) {
    let head = item.into_head();

    // CAST: `RcuHead` is transparent over the C head.
    // SAFETY: `RcuItem` guarantees a valid head that is now RCU's to write to.
    unsafe { bindings::call_rcu_tasks_trace(head.as_ptr().cast(), Some(grace_period_passed::<P>)) };
}

/// Waits until the callbacks of all earlier [`call`]s have returned; sleeps.
///
/// It does not wait for a [`call`] that one of these callbacks makes.
pub fn barrier() {
    // SAFETY: Always safe to call in a context that may sleep.
    unsafe { bindings::rcu_barrier_tasks_trace() };
}

/// # Safety
///
/// Only to be called by C, for a head that [`call::<P>`] passed to RCU.
unsafe extern "C" fn grace_period_passed<P: RcuItem>(head: *mut bindings::callback_head) {
    // CAST: `RcuHead` is transparent over the C head.
    // SAFETY: RCU calls back with the head that it was given, which is not null.
    let head = unsafe { NonNull::new_unchecked(head.cast::<RcuHead>()) };

    // SAFETY: The head comes from `into_head()` in `call()`; RCU calls back once for each call.
    unsafe { P::from_head(head) }.after_grace_period();
}
