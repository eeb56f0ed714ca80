// SPDX-License-Identifier: GPL-2.0-only

//! Whether a timer can be used: whether somebody will cancel it.

use crate::timer::Timer;

use kernel::{
    bpf::{
        Element,
        Map, //
    },
    prelude::*,
    sync::barrier::{
        smp_mb,
        Full, //
    },
};

impl Timer {
    /// Returns the map that the timer belongs to; [`ENOENT`] if the timer is dead, [`EINVAL`] if it
    /// is being made.
    #[inline]
    pub(crate) fn map(&self) -> Result<&Map> {
        let map = self.links.map();

        self.word.load().check_alive()?;
        // SAFETY: The timer was alive after the pointer was read, so that is the map; it is valid
        // by the type invariants.
        Ok(unsafe { &*map })
    }

    /// Makes operations possible, if somebody will cancel the timer: [`EPERM`] if the map has no
    /// user reference, [`ENOENT`] if it does not have the element.
    ///
    /// To be called by readers that have found the timer in its slot, with the timer's element. A
    /// timer that is dead stays dead.
    pub(crate) fn admit(&self, element: Element<'_>) -> Result {
        // R3: Pairs with the full barrier of atomic64_dec_and_test() when the map loses its last
        // user reference, and with the barrier in `Slot::cancel_and_free()`. Whoever executes them
        // looks into the slot afterwards, and finds this timer. Otherwise, this finds no user
        // reference, or finds the element deleted.
        smp_mb(Full);
        if !element.map().has_user_refs() {
            return Err(EPERM);
        }
        if !element.is_in_map() {
            return Err(ENOENT);
        }
        // Only now may the timer be armed: somebody is certain to cancel it.
        self.word.birth();
        Ok(())
    }

    /// Returns the map, for an operation on the timer; [`ENOENT`] if the timer is dead, [`EINVAL`]
    /// if it is being made.
    ///
    /// `None` if the map is a resizable hash from which the element was deleted. Upstream's tests
    /// demand that init, set_callback and start succeed there. They have no effect: nobody would
    /// cancel the timer, and nothing would keep the element until the callback has run. If the
    /// memory becomes an element again, its owner finds the timer there. [`EPERM`] if this cannot
    /// be, since the map has no user reference.
    #[cold]
    pub(crate) fn find(&self) -> Result<Option<&Map>> {
        let map = self.links.map();

        match self.map() {
            Err(EINVAL) => {}
            found => return found.map(Some),
        }
        // SAFETY: The timer was not dead after `links.map()`, so this is its map. By the type
        // invariants, the map and the value are valid, and the map is not per-CPU. The caller is in
        // the read-side section in which it has found the timer in its slot.
        let element = unsafe { Element::from_value(&*map, self.value()) };
        if !element.map().is_resizable_hash() {
            return Err(EINVAL);
        }
        match self.admit(element) {
            Err(ENOENT) => Ok(None),
            result => result.and_then(|()| self.map().map(Some)),
        }
    }
}
