// SPDX-License-Identifier: GPL-2.0

//! Interval trees: which of many intervals overlap a given one?
//!
//! This is a reader's view of a tree that C owns.
//!
//! C header: [`include/linux/interval_tree.h`](srctree/include/linux/interval_tree.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    types::Opaque, //
};

/// A `struct rb_root_cached` with nodes of `struct interval_tree_node`.
///
/// # Invariants
///
/// While a reference exists the tree does not change, and its nodes stay allocated.
#[repr(transparent)]
pub struct IntervalTree(Opaque<bindings::rb_root_cached>);

impl IntervalTree {
    /// Borrows a tree from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be an interval tree that nobody changes during `'a`, and whose nodes stay allocated
    /// for as long.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::rb_root_cached) -> &'a Self {
        // SAFETY: The tree is there during `'a`, and the type is transparent over it.
        // INVARIANT: Nobody changes it during `'a`.
        unsafe { &*ptr.cast() }
    }

    /// The nodes whose intervals overlap that from `start` to `last`, which is in it too, in the
    /// order of their starts.
    #[inline(always)]
    pub fn overlapping(&self, start: usize, last: usize) -> Overlapping<'_> {
        Overlapping {
            tree: self,
            previous: None,
            start,
            last,
        }
    }
}

/// Walks the nodes that overlap an interval.
///
/// # Invariants
///
/// `previous` is a node of the tree.
#[derive(Clone)]
pub struct Overlapping<'a> {
    tree: &'a IntervalTree,
    previous: Option<NonNull<bindings::interval_tree_node>>,
    start: usize,
    last: usize,
}

impl Iterator for Overlapping<'_> {
    type Item = NonNull<bindings::interval_tree_node>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (start, last) = (self.start, self.last);
        let node = match self.previous {
            // SAFETY: The tree does not change while it is borrowed.
            None => unsafe { bindings::interval_tree_iter_first(self.tree.0.get(), start, last) },
            // SAFETY: By the type's invariant the node is in the tree, which does not change.
            Some(node) => unsafe { bindings::interval_tree_iter_next(node.as_ptr(), start, last) },
        };
        // INVARIANT: What was found is a node of the tree.
        self.previous = NonNull::new(node).or(self.previous);
        NonNull::new(node)
    }
}
