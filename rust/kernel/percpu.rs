// SPDX-License-Identifier: GPL-2.0

//! Static per-CPU variables.
//!
//! [`define_per_cpu!`](crate::define_per_cpu) defines a variable that has a copy for every possible
//! CPU. Copies are only handed out as shared references, so the type must be [`Sync`]: another CPU,
//! or an interrupt on this one, may use the same copy at any time. So all of this is safe with
//! preemption enabled. A caller that has to stay on the CPU of its copy disables preemption or
//! migration itself.
//!
//! For built-in code only: modules have their per-CPU variables elsewhere.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)
//!
//! # Examples
//!
//! ```
//! use kernel::sync::atomic::{Atomic, Relaxed};
//!
//! kernel::define_per_cpu! {
//!     /// How often each CPU was here.
//!     static VISITS: Atomic<i32> = Atomic::new(0);
//! }
//!
//! let total = || -> i32 { VISITS.copies().map(|visits| visits.load(Relaxed)).sum() };
//! let before = total();
//!
//! VISITS.this_cpu().fetch_add(1, Relaxed);
//! assert_eq!(total(), before + 1);
//! ```

use crate::{
    bindings,
    cpu, //
};

use core::cell::UnsafeCell;

/// The initial value of the copies of a per-CPU variable; used by
/// [`define_per_cpu!`](crate::define_per_cpu).
///
/// The cell keeps it, and so the section that it is in, writable.
#[doc(hidden)]
#[repr(transparent)]
pub struct Template<T>(UnsafeCell<T>);

// SAFETY: The content is never accessed through a reference to the template.
unsafe impl<T: Sync> Sync for Template<T> {}

impl<T> Template<T> {
    #[doc(hidden)]
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }
}

/// A static per-CPU variable, defined with [`define_per_cpu!`](crate::define_per_cpu).
///
/// # Invariants
///
/// `self.0` is the address of a `T` in the per-CPU section of the kernel image. With `CONFIG_SMP`
/// that object must not be used; each CPU has a copy that is initialized to the same bytes.
/// Otherwise it is the only copy.
pub struct PerCpu<T: Sync + 'static>(*const T);

// SAFETY: A `PerCpu<T>` only gives shared references to `T`, which is `Sync`.
unsafe impl<T: Sync> Send for PerCpu<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for PerCpu<T> {}

impl<T: Sync> PerCpu<T> {
    /// Creates the handle; only for [`define_per_cpu!`](crate::define_per_cpu).
    ///
    /// # Safety
    ///
    /// `template` must be the address of a static that is in the per-CPU section of the kernel
    /// image and not used otherwise. Its value must be that of a constant, of which there may be
    /// any number of copies.
    #[doc(hidden)]
    pub const unsafe fn new(template: *const Template<T>) -> Self {
        // The copies are no better aligned than that.
        const { assert!(align_of::<T>() <= crate::page::PAGE_SIZE) };

        // CAST: A template is transparent over its content.
        // INVARIANT: By the safety requirement.
        Self(template.cast())
    }

    /// Returns the copy of the CPU that this runs on.
    ///
    /// With preemption on, that may be another CPU by the time that the copy is used.
    #[inline]
    pub fn this_cpu(&self) -> &'static T {
        // SAFETY: By the type invariants, this is a per-CPU address.
        let copy = unsafe { bindings::raw_cpu_ptr(self.0.cast_mut().cast()) };

        // CAST: The copy of a `T` is a `T`.
        // SAFETY: By the type invariants the copy is initialized; it lives as long as the kernel,
        // and all references to it are shared ones.
        unsafe { &*copy.cast::<T>() }
    }

    /// Returns the copies of all possible CPUs.
    #[inline]
    pub fn copies(&self) -> impl Iterator<Item = &'static T> + '_ {
        (0..cpu::nr_cpu_ids())
            // SAFETY: Any number may be asked for that is less than `nr_cpu_ids`.
            .filter(|&cpu| unsafe { bindings::cpu_possible(cpu) })
            .map(|cpu| {
                // SAFETY: By the type invariants, this is a per-CPU address; the CPU is possible.
                let copy = unsafe { bindings::per_cpu_ptr(self.0.cast_mut().cast(), cpu as i32) };

                // CAST: The copy of a `T` is a `T`.
                // SAFETY: As in `this_cpu()`.
                unsafe { &*copy.cast::<T>() }
            })
    }
}

/// Defines a static [`PerCpu`](crate::percpu::PerCpu); see the [module](crate::percpu).
///
/// The initial value must be a constant, and its type must be [`Sync`].
#[macro_export]
macro_rules! define_per_cpu {
    ($(#[$attr:meta])* $vis:vis static $name:ident: $ty:ty = $init:expr;) => {
        $(#[$attr])*
        $vis static $name: $crate::percpu::PerCpu<$ty> = {
            #[cfg(MODULE)]
            compile_error!("define_per_cpu! is for built-in code only");

            // The section is `PER_CPU_BASE_SECTION` of C.
            #[cfg_attr(CONFIG_SMP, link_section = ".data..percpu")]
            static __PER_CPU_TEMPLATE: $crate::percpu::Template<$ty> =
                $crate::percpu::Template::new(const { $init });

            // SAFETY: The template is in that section, and only its address is used. Its value is
            // that of a constant.
            unsafe { $crate::percpu::PerCpu::new(&raw const __PER_CPU_TEMPLATE) }
        };
    };
}
