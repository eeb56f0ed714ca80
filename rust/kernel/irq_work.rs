// SPDX-License-Identifier: GPL-2.0

//! Work that is handed to hard interrupt context.
//!
//! An [`IrqWork`] may be queued in any context (in NMI if the architecture has
//! `CONFIG_ARCH_HAVE_NMI_SAFE_CMPXCHG`). It runs soon afterwards on the same CPU, in hard interrupt
//! context with interrupts off, on `PREEMPT_RT` as well. If the CPU goes offline, what it has
//! queued runs in the thread that stops it or, if it is queued after that, on the CPU that takes it
//! down, with interrupts off.
//!
//! A work is queued through a `'static` reference. This is for built-in code only: when a module is
//! unloaded, its statics and the functions that its works call are gone.
//!
//! C header: [`include/linux/irq_work.h`](srctree/include/linux/irq_work.h)
//!
//! # Examples
//!
//! ```
//! use kernel::interrupt::IrqsOff;
//! use kernel::irq_work::{IrqWork, IrqWorkItem};
//! use kernel::sync::atomic::{Atomic, Relaxed};
//!
//! struct Counter {
//!     work: IrqWork<Counter>,
//!     runs: Atomic<i32>,
//! }
//!
//! kernel::impl_has_irq_work! {
//!     // SAFETY: No module makes a `Counter`, which is private to this example.
//!     unsafe impl HasIrqWork for Counter { self.work }
//! }
//!
//! impl IrqWorkItem for Counter {
//!     fn run(&'static self, _: &IrqsOff) {
//!         self.runs.fetch_add(1, Relaxed);
//!     }
//! }
//!
//! static COUNTER: Counter = Counter { work: IrqWork::new(), runs: Atomic::new(0) };
//!
//! let before = COUNTER.runs.load(Relaxed);
//!
//! assert!(IrqWork::queue(&COUNTER));
//! IrqWork::sync(&COUNTER);
//! assert_eq!(COUNTER.runs.load(Relaxed), before + 1);
//! ```

use crate::{
    bindings,
    interrupt::IrqsOff,
    sync::rcu::synchronize_rcu,
    types::Opaque, //
};

use core::marker::PhantomData;

/// Items that an [`IrqWork`] runs for.
pub trait IrqWorkItem: HasIrqWork + Sync + 'static {
    /// Called on the CPU that queued the work, in hard interrupt context, with the exceptions that
    /// the [module](self) names. Has to be short, and may take raw locks only.
    ///
    /// As soon as this is called, any CPU may queue the work again. Another CPU may then run it at
    /// the same time.
    fn run(&'static self, irqs_off: &IrqsOff);
}

/// Declares that a type has an [`IrqWork`] field, which is the only work that runs for it.
///
/// Implemented with [`impl_has_irq_work!`](crate::impl_has_irq_work).
///
/// # Safety
///
/// - The two methods must be inverses of each other, and name an aligned field of `Self`.
/// - No module may be able to make a `Self`: it, and the code that runs for it, could be unloaded
///   while a work is queued or runs.
pub unsafe trait HasIrqWork: Sized {
    /// Returns a pointer to the work in `this`.
    ///
    /// # Safety
    ///
    /// `this` must point at a live `Self`.
    unsafe fn raw_get_work(this: *const Self) -> *const IrqWork<Self>;

    /// Returns a pointer to the item that has `work`.
    ///
    /// # Safety
    ///
    /// `work` must point at the work field of a `Self`.
    unsafe fn work_container_of(work: *mut IrqWork<Self>) -> *mut Self;
}

/// Implements [`HasIrqWork`](crate::irq_work::HasIrqWork); see the module's example.
///
/// # Safety
///
/// The second rule of [`HasIrqWork`](crate::irq_work::HasIrqWork) must hold, as it does for a
/// private type of built-in code.
#[macro_export]
macro_rules! impl_has_irq_work {
    (unsafe impl HasIrqWork for $self:ty { self.$field:ident }) => {
        #[cfg(MODULE)]
        compile_error!("impl_has_irq_work! is for built-in code only");

        // The compiler refuses this for a field that may not be aligned.
        const _: fn(&$self) -> &$crate::irq_work::IrqWork<$self> = |this| &this.$field;

        // SAFETY: The pointers only type-check if the field is an `IrqWork<Self>`, which is
        // aligned, as checked above. No module makes a `Self`, as the caller promises.
        unsafe impl $crate::irq_work::HasIrqWork for $self {
            #[inline]
            unsafe fn raw_get_work(this: *const Self) -> *const $crate::irq_work::IrqWork<Self> {
                // SAFETY: The caller promises that `this` is live.
                unsafe { &raw const (*this).$field }
            }

            #[inline]
            unsafe fn work_container_of(work: *mut $crate::irq_work::IrqWork<Self>) -> *mut Self {
                // SAFETY: The caller promises that `work` is this field of a `Self`.
                unsafe { $crate::container_of!(work, Self, $field) }
            }
        }
    };
}

/// A work that runs [`IrqWorkItem::run`] of the item that it is a field of.
///
/// Wraps the kernel's C `struct irq_work`.
///
/// # Invariants
///
/// `self.work` is an initialized `irq_work` whose function is `run_item` for `T`.
#[repr(transparent)]
pub struct IrqWork<T> {
    work: Opaque<bindings::irq_work>,
    _item: PhantomData<T>,
}

// SAFETY: The C side synchronizes all access to an `irq_work`.
unsafe impl<T> Send for IrqWork<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for IrqWork<T> {}

impl<T: IrqWorkItem> IrqWork<T> {
    /// Creates a work that is not queued.
    pub const fn new() -> Self {
        // SAFETY: All zeroes is a valid C `struct irq_work`, and is what `IRQ_WORK_INIT_HARD()`
        // gives apart from the function and the flag.
        let mut work: bindings::irq_work = unsafe { core::mem::zeroed() };

        work.func = Some(run_item::<T>);
        work.node.__bindgen_anon_1.u_flags = bindings::IRQ_WORK_HARD_IRQ;
        // INVARIANT: `work` has the function, and is not queued.
        Self {
            work: Opaque::new(work),
            _item: PhantomData,
        }
    }

    fn raw(item: &'static T) -> *mut bindings::irq_work {
        // SAFETY: `item` is live.
        let work = unsafe { T::raw_get_work(item) };

        // CAST: `IrqWork` is transparent over an `Opaque<irq_work>`.
        Opaque::cast_into(work.cast::<Opaque<bindings::irq_work>>())
    }

    /// Queues the work on this CPU; may be called in any context.
    ///
    /// Returns `false` if it was already queued and did not begin to run yet; that run then sees
    /// all that was written before this call.
    #[inline]
    pub fn queue(item: &'static T) -> bool {
        // SAFETY: The work is initialized by its invariants. It is never freed, since the second
        // rule of `HasIrqWork` says that it belongs to no module.
        unsafe { bindings::irq_work_queue(Self::raw(item)) }
    }

    /// Waits until what was queued before has run, on any CPU; sleeps. Callers for the same item
    /// have to take turns: where interrupts do not run it, C only wakes one who waits.
    pub fn sync(item: &'static T) {
        // SAFETY: The work is initialized by its invariants. It is never freed, since the second
        // rule of `HasIrqWork` says that it belongs to no module.
        unsafe { bindings::irq_work_sync(Self::raw(item)) };

        // When several CPUs run it, that waits for one of them only; but all are RCU readers.
        synchronize_rcu();
    }
}

impl<T: IrqWorkItem> Default for IrqWork<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// # Safety
///
/// Only to be called by C, with the `irq_work` of an [`IrqWork<T>`] that [`IrqWork::queue`] queued.
unsafe extern "C" fn run_item<T: IrqWorkItem>(work: *mut bindings::irq_work) {
    // CAST: `IrqWork` is transparent over an `Opaque<irq_work>`.
    // SAFETY: The work was queued as a field of a `&'static T`.
    let item = unsafe { &*T::work_container_of(work.cast::<IrqWork<T>>()) };

    // SAFETY: C calls a work with `IRQ_WORK_HARD_IRQ` with interrupts off, until this returns.
    item.run(unsafe { IrqsOff::assume() });
}
