// SPDX-License-Identifier: GPL-2.0

//! Lock-less singly linked lists.
//!
//! Any number of producers add items in any context (in NMI if the architecture has
//! `CONFIG_ARCH_HAVE_NMI_SAFE_CMPXCHG`); a consumer takes all of them at once, and can [put back]
//! what it does not come to. The list is intrusive and owns what is on it: [`push`] takes an
//! [`LlistItem`], which is some owning pointer, and [`take_all`] gives it back.
//!
//! C header: [`include/linux/llist.h`](srctree/include/linux/llist.h)
//!
//! [`push`]: Llist::push
//! [`take_all`]: Llist::take_all
//! [put back]: Llist::put_back
//!
//! # Examples
//!
//! ```
//! use kernel::sync::llist::{self, Llist, LlistNode};
//!
//! struct Event {
//!     node: LlistNode,
//!     id: u32,
//! }
//!
//! kernel::impl_has_llist_node! {
//!     impl HasLlistNode for Event { self.node }
//! }
//!
//! let list = Llist::<KBox<Event>>::new();
//! assert!(list.push(KBox::new(Event { node: LlistNode::new(), id: 1 }, GFP_KERNEL)?));
//! // It was not empty any more.
//! assert!(!list.push(KBox::new(Event { node: LlistNode::new(), id: 2 }, GFP_KERNEL)?));
//!
//! // The newest comes first.
//! let mut batch = list.take_all();
//! assert_eq!(batch.next().map(|event| event.id), Some(2));
//! assert!(list.is_empty());
//!
//! // The rest is put back, unless somebody has added an item.
//! assert!(list.put_back(batch).is_ok());
//! let mut batch = list.take_all();
//! assert!(list.push(KBox::new(Event { node: LlistNode::new(), id: 3 }, GFP_KERNEL)?));
//! batch = list.put_back(batch).err().ok_or(EINVAL)?;
//! assert_eq!(batch.next().map(|event| event.id), Some(1));
//! assert!(batch.next().is_none());
//! # Ok::<(), Error>(())
//! ```

use crate::{
    alloc::{
        Allocator,
        Box, //
    },
    bindings,
    sync::atomic::{
        ordering::{
            Full,
            Relaxed, //
        },
        Atomic, //
    },
    types::Opaque, //
};

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};

/// Links an item into a [`Llist`].
///
/// Wraps the kernel's C `struct llist_node`.
#[repr(transparent)]
pub struct LlistNode(Opaque<bindings::llist_node>);

impl LlistNode {
    /// Creates a node that is on no list.
    #[inline]
    pub const fn new() -> Self {
        Self(Opaque::new(bindings::llist_node {
            next: ptr::null_mut(),
        }))
    }
}

impl Default for LlistNode {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: Only the list that an item is on accesses its node, with atomic operations.
unsafe impl Send for LlistNode {}
// SAFETY: As above; a shared reference gives no access to the node.
unsafe impl Sync for LlistNode {}

/// Owning pointers that a [`Llist`] can hold.
///
/// # Safety
///
/// - [`into_node`] must return a pointer to a valid node that nothing but the list accesses until
///   the pointer is passed to [`from_node`].
/// - [`from_node`] must be the inverse of [`into_node`].
///
/// [`into_node`]: LlistItem::into_node
/// [`from_node`]: LlistItem::from_node
pub unsafe trait LlistItem: Sized + Send {
    /// Gives the item up, without dropping it, and returns the node that stands for it.
    fn into_node(self) -> NonNull<LlistNode>;

    /// Takes the item back.
    ///
    /// # Safety
    ///
    /// `node` must come from [`into_node`](LlistItem::into_node), and must be passed here once.
    unsafe fn from_node(node: NonNull<LlistNode>) -> Self;
}

/// Declares that a type has a [`LlistNode`] field, so that a `Box` of it can be on a [`Llist`].
///
/// Implemented with [`impl_has_llist_node!`](crate::impl_has_llist_node).
///
/// # Safety
///
/// The two methods must be inverses of each other, and name an aligned field of `Self`.
pub unsafe trait HasLlistNode {
    /// Returns a pointer to the node in `this`.
    ///
    /// # Safety
    ///
    /// `this` must point at a live `Self`.
    unsafe fn raw_get_node(this: *mut Self) -> *mut LlistNode;

    /// Returns a pointer to the item that has `node`.
    ///
    /// # Safety
    ///
    /// `node` must point at the node field of a `Self`.
    unsafe fn node_container_of(node: *mut LlistNode) -> *mut Self;
}

/// Implements [`HasLlistNode`](crate::sync::llist::HasLlistNode); see the module's example.
#[macro_export]
macro_rules! impl_has_llist_node {
    (impl HasLlistNode for $self:ty { self.$field:ident }) => {
        // The compiler refuses this for a field that may not be aligned.
        const _: fn(&$self) -> &$crate::sync::llist::LlistNode = |this| &this.$field;

        // SAFETY: The pointers only type-check if the field is a `LlistNode`, which is aligned, as
        // checked above.
        unsafe impl $crate::sync::llist::HasLlistNode for $self {
            #[inline]
            unsafe fn raw_get_node(this: *mut Self) -> *mut $crate::sync::llist::LlistNode {
                // SAFETY: The caller promises that `this` is live.
                unsafe { &raw mut (*this).$field }
            }

            #[inline]
            unsafe fn node_container_of(node: *mut $crate::sync::llist::LlistNode) -> *mut Self {
                // SAFETY: The caller promises that `node` is this field of a `Self`.
                unsafe { $crate::container_of!(node, Self, $field) }
            }
        }
    };
}

// SAFETY: The box owns the item and with it the node, and `HasLlistNode` gives the inverses.
unsafe impl<T, A> LlistItem for Box<T, A>
where
    T: HasLlistNode + Send,
    A: Allocator,
{
    fn into_node(self) -> NonNull<LlistNode> {
        // SAFETY: The box was just given up, so the pointer is live, and a field of what it points
        // at is not at address zero.
        unsafe { NonNull::new_unchecked(T::raw_get_node(Box::into_raw(self))) }
    }

    unsafe fn from_node(node: NonNull<LlistNode>) -> Self {
        // SAFETY: The node is the field of a `T` that `into_node` took out of a box.
        unsafe { Box::from_raw(T::node_container_of(node.as_ptr())) }
    }
}

/// A lock-less list of items.
///
/// Wraps the kernel's C `struct llist_head`.
///
/// # Invariants
///
/// Every node on the list came from [`LlistItem::into_node`] of a `P` that was not taken back.
pub struct Llist<P: LlistItem> {
    head: Opaque<bindings::llist_head>,
    // Items go in and out through shared references, so `P` must be invariant.
    _items: PhantomData<UnsafeCell<P>>,
}

impl<P: LlistItem> Llist<P> {
    /// Creates an empty list.
    #[inline]
    pub const fn new() -> Self {
        // INVARIANT: No node is on the list.
        Self {
            head: Opaque::new(bindings::llist_head {
                first: ptr::null_mut(),
            }),
            _items: PhantomData,
        }
    }

    /// Adds an item; may be called in any context.
    ///
    /// Returns whether the list was empty before. Fully ordered, so that whoever takes the item
    /// off sees all that was written before it was added.
    #[inline]
    pub fn push(&self, item: P) -> bool {
        let node = item.into_node();

        // INVARIANT: The node comes from `into_node` just above.
        // CAST: A `LlistNode` is transparent over the C node.
        // SAFETY: `LlistItem` guarantees a valid node that is now the list's alone.
        unsafe { bindings::llist_add(node.as_ptr().cast(), self.head.get()) }
    }

    /// Takes all items off the list, the newest first; may be called in any context.
    ///
    /// Takes the same time for any number of items. Fully ordered: pairs with
    /// [`push`](Llist::push).
    ///
    /// Dropping the batch drops the items that are left in it. Drop it only where their type allows
    /// that.
    #[inline]
    pub fn take_all(&self) -> Batch<P> {
        Batch {
            // INVARIANT: By the invariants of `Llist`, and nobody else has these nodes now.
            // SAFETY: `self.head` is a valid list head.
            next: unsafe { bindings::llist_del_all(self.head.get()) },
            _items: PhantomData,
        }
    }

    /// Puts what is left of a batch onto the list if that is empty, or else gives it back; may be
    /// called in any context.
    ///
    /// Takes the same time for any number of items. Fully ordered, as [`push`](Llist::push) is.
    #[inline]
    pub fn put_back(&self, batch: Batch<P>) -> Result<(), Batch<P>> {
        // INVARIANT: By the invariants of `Batch`, the nodes came from `into_node`. The batch is
        // given up if they are on the list.
        match self.first().cmpxchg(ptr::null_mut(), batch.next, Full) {
            Ok(_) => {
                core::mem::forget(batch);
                Ok(())
            }
            Err(_) => Err(batch),
        }
    }

    /// Returns whether there is no item on the list. Orders nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: orders nothing, as documented.
        self.first().load(Relaxed).is_null()
    }

    /// Returns the pointer to the newest node.
    #[inline]
    fn first(&self) -> &Atomic<*mut bindings::llist_node> {
        // SAFETY: `self.head` is a valid list head, which C changes by atomic operations.
        unsafe { Atomic::from_ptr(&raw mut (*self.head.get()).first) }
    }
}

impl<P: LlistItem> Default for Llist<P> {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl<P: LlistItem> Drop for Llist<P> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

// SAFETY: The list owns items, which are `Send`.
unsafe impl<P: LlistItem> Send for Llist<P> {}
// SAFETY: All operations are atomic, and only move items, which are `Send`.
unsafe impl<P: LlistItem> Sync for Llist<P> {}

/// An iterator over the items taken off a [`Llist`]. It drops the items that it has not returned.
///
/// # Invariants
///
/// The nodes from `next` on came from [`LlistItem::into_node`] of a `P`, and are this batch's own.
pub struct Batch<P: LlistItem> {
    next: *mut bindings::llist_node,
    _items: PhantomData<P>,
}

impl<P: LlistItem> Batch<P> {
    /// Returns whether no item is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.next.is_null()
    }
}

impl<P: LlistItem> Iterator for Batch<P> {
    type Item = P;

    #[inline]
    fn next(&mut self) -> Option<P> {
        let node = NonNull::new(self.next)?;

        // The item may reuse its node as soon as it is taken back, so step on first.
        // INVARIANT: The nodes after one of ours are ours.
        // SAFETY: By the type invariants, `node` is valid and ours.
        self.next = unsafe { (*node.as_ptr()).next };
        // CAST: A `LlistNode` is transparent over the C node.
        // SAFETY: By the type invariants; `next` was moved past it, so this happens once.
        Some(unsafe { P::from_node(node.cast()) })
    }
}

impl<P: LlistItem> Drop for Batch<P> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
