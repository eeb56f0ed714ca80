// SPDX-License-Identifier: GPL-2.0-only

//! Work for the drain, which it does a little at a time.

use kernel::sync::llist::{
    Llist,
    LlistItem, //
};

/// A list of which a few items are processed at a time.
pub(crate) struct Backlog<P: LlistItem> {
    /// The items that were pushed since the last were taken.
    new: Llist<P>,
    /// The rest of the items that were taken. These come first, so that none waits for ever.
    begun: Llist<P>,
}

impl<P: LlistItem> Backlog<P> {
    pub(crate) const fn new() -> Self {
        Self {
            new: Llist::new(),
            begun: Llist::new(),
        }
    }

    /// Adds an item. If this returns true, somebody has to call [`Self::process`]. Otherwise, who
    /// has pushed an item before, or is told that there are more, does so. Callable in any context.
    #[inline]
    pub(crate) fn push(&self, item: P) -> bool {
        self.new.push(item)
    }

    /// Calls `process` for some items, `most` at most. Returns whether there are more, so that this
    /// has to be called again.
    ///
    /// This is Full: what was pushed before is found. Either there are more, or the next
    /// [`Self::push`] returns true.
    ///
    /// If two CPUs call this at the same time, one of them may process all that it has taken.
    pub(crate) fn process(&self, most: usize, mut process: impl FnMut(P)) -> bool {
        let list = if self.is_behind() {
            &self.begun
        } else {
            &self.new
        };
        let mut batch = list.take_all();

        batch.by_ref().take(most).for_each(&mut process);
        if !batch.is_empty() {
            if let Err(batch) = self.begun.put_back(batch) {
                batch.for_each(process);
            }
        }
        self.is_behind() || !self.new.is_empty()
    }

    /// Returns whether items were left the last time.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        !self.begun.is_empty()
    }
}

// R7: all.
#[cfg(CONFIG_BPF_TIMER_RUST_KUNIT_TEST)]
#[kernel::macros::kunit_tests(bpf_timer_backlog)]
mod tests {
    use super::*;

    use kernel::{
        prelude::*,
        sync::llist::LlistNode, //
    };

    struct Item {
        node: LlistNode,
        id: usize,
    }

    kernel::impl_has_llist_node! {
        impl HasLlistNode for Item { self.node }
    }

    struct Items(Backlog<KBox<Item>>);

    impl Items {
        fn push(&self, id: usize) -> Result<bool> {
            let node = LlistNode::new();

            Ok(self.0.push(KBox::new(Item { node, id }, GFP_KERNEL)?))
        }

        /// Returns how many of `most` items were processed and whether there are more. The bits of
        /// `seen` say which items were processed.
        fn process(&self, most: usize, seen: &mut u32) -> (u32, bool) {
            let before = *seen;
            let more = self.0.process(most, |item| *seen |= 1 << item.id);

            ((before ^ *seen).count_ones(), more)
        }
    }

    #[test]
    fn few_items_are_processed_at_a_time() -> Result {
        let items = Items(Backlog::new());
        let mut seen = 0;

        assert_eq!(items.process(2, &mut seen), (0, false));
        for id in 0..5 {
            assert_eq!(items.push(id)?, id == 0);
        }
        assert_eq!(items.process(2, &mut seen), (2, true));
        assert!(items.0.is_behind());
        assert_eq!(items.process(2, &mut seen), (2, true));
        assert_eq!(items.process(2, &mut seen), (1, false));
        assert_eq!(seen, 0b1_1111);
        Ok(())
    }

    #[test]
    fn items_that_were_begun_come_first() -> Result {
        let items = Items(Backlog::new());
        let mut seen = 0;

        for id in 0..4 {
            items.push(id)?;
        }
        assert_eq!(items.process(1, &mut seen), (1, true));
        // All that was pushed before was taken.
        assert!(items.push(4)?);
        assert_eq!(items.process(8, &mut seen), (3, true));
        assert_eq!(seen, 0b1111);
        assert_eq!(items.process(8, &mut seen), (1, false));
        Ok(())
    }

    #[test]
    fn what_cannot_be_put_back_is_processed() -> Result {
        let items = Items(Backlog::new());
        let mut inner = 0;
        let mut seen = 0;

        for id in 0..4 {
            items.push(id)?;
        }
        // Another CPU leaves some items while this one processes its own.
        let more = items.0.process(2, |item| {
            if item.id == 3 {
                for id in 4..8 {
                    kernel::warn_on!(items.push(id).is_err());
                }
                items.process(1, &mut inner);
            }
            seen |= 1 << item.id;
        });
        assert!(more);
        assert_eq!(seen, 0b1111);
        assert_eq!(items.process(8, &mut inner), (3, false));
        assert_eq!(inner, 0b1111_0000);
        Ok(())
    }
}
