// SPDX-License-Identifier: GPL-2.0

//! Dropping references to programs in any context.
//!
//! `bpf_prog_put()` of the last reference takes the locks of the program ID and kallsyms tables or,
//! with interrupts off, of a workqueue. A tracing program or an NMI may drop that reference while
//! the interrupted code holds one of these locks. So the last reference goes to an `irq_work`
//! first.

use crate::{
    bindings,
    container_of,
    interrupt::IrqsOff,
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
/// `self.0` is a valid program, and `self` owns a reference to it. No other `LastRef` of the
/// program exists. C uses `aux->work` only once there is no reference, so it is ours.
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

        // INVARIANT: `into_node()` gave up this reference.
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
    fn run(&'static self, _: &IrqsOff) {
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
    // INVARIANT: `ProgRef::drop()` gets here only if it finds a count of one, which is its own
    // reference. As long as this one is there it counts as well, so nobody else finds that.
    let last = LastRef(prog);
    let waiting = WAITING.this_cpu();

    // The caller may have migrated since, but any CPU may add to the list and queue the work. The
    // work is queued even if the list was not empty, since whoever made it so may have been
    // preempted before queueing it.
    waiting.refs.push(last);
    IrqWork::queue(waiting);
}
