// SPDX-License-Identifier: GPL-2.0

//! Dropping references to programs in any context.
//!
//! The end of a program takes locks: those of the table of programs and of their symbols, or, with
//! interrupts off, where `bpf_prog_put()` leaves it to a workqueue, those of that. Who drops the
//! last reference may be called by code that holds them: by way of tracepoints, and in NMI. So the
//! last reference goes to an `irq_work` first.

use crate::{
    bindings,
    container_of,
    irq_work::{
        IrqWork,
        IrqWorkItem, //
    },
    sync::llist::{
        Llist,
        LlistItem,
        LlistNode, //
    }, //
};

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

/// A reference that was the only one when it was given up.
///
/// # Invariants
///
/// `self.0` is a valid program, of which `self` owns a reference. No other `LastRef` of it exists,
/// so its `aux->work`, which is only used once there is no reference, is ours.
struct LastRef(NonNull<bindings::bpf_prog>);

// SAFETY: A reference may be dropped on any CPU.
unsafe impl Send for LastRef {}

crate::static_assert!(
    size_of::<LlistNode>() <= size_of::<bindings::work_struct>()
        && align_of::<LlistNode>() <= align_of::<bindings::work_struct>()
);

// SAFETY: The node is in memory that by the type invariants is ours, large and aligned enough.
unsafe impl LlistItem for LastRef {
    fn into_node(self) -> NonNull<LlistNode> {
        // The reference is not dropped, but goes with the node.
        let prog = ManuallyDrop::new(self).0;

        // SAFETY: By the type invariants the program is valid, and a field of its `aux` is not at
        // address zero.
        let work = unsafe {
            NonNull::new_unchecked(&raw mut (*(*prog.as_ptr()).aux).__bindgen_anon_1.work)
        };

        work.cast()
    }

    unsafe fn from_node(node: NonNull<LlistNode>) -> Self {
        let work = node.as_ptr().cast::<bindings::work_struct>();

        // INVARIANT: What `into_node()` gave up.
        // SAFETY: The node is the `work` of the `aux` of a valid program.
        Self(unsafe {
            let aux = container_of!(work, bindings::bpf_prog_aux, __bindgen_anon_1.work);
            NonNull::new_unchecked((*aux).prog)
        })
    }
}

impl Drop for LastRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the reference is ours to drop.
        unsafe { bindings::bpf_prog_put(self.0.as_ptr()) };
    }
}

/// The references that wait for the `irq_work` of a CPU.
struct Waiting {
    refs: Llist<LastRef>,
    work: IrqWork<Waiting>,
}

// One for each CPU. If a CPU goes offline, the CPU that takes it down runs what is left.
crate::define_per_cpu! {
    static WAITING: Waiting = Waiting {
        refs: Llist::new(),
        work: IrqWork::new(),
    };
}

crate::impl_has_irq_work! {
    // SAFETY: No module makes a `Waiting`, which is private to this file.
    unsafe impl HasIrqWork for Waiting { self.work }
}

impl IrqWorkItem for Waiting {
    fn run(&'static self) {
        drop(self.refs.take_all());
    }
}

/// Drops a reference to `prog`; callable in any context.
///
/// # Safety
///
/// `prog` must be valid, with a reference that the caller owns and gives up. It must have been the
/// only one while the caller had it.
#[cold]
pub(super) unsafe fn last(prog: NonNull<bindings::bpf_prog>) {
    // INVARIANT: Nobody else had a reference to give up. Who gets one from now on finds ours still
    // there when dropping it.
    let last = LastRef(prog);
    let waiting = WAITING.this_cpu();

    // On whichever CPU that is by now: a list can be added to, and its work be run, anywhere. Even
    // if the list was not empty: who was first may have been preempted before it came here.
    waiting.refs.push(last);
    IrqWork::queue(waiting);
}
