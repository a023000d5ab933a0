// SPDX-License-Identifier: GPL-2.0

//! The guest_memfd of a slot. Faults know nothing of it: it is for tests of what looks at it.

use super::{memslot::MemSlot, raw::Vm};
use crate::{
    atomic::plain::{lock, Mutex},
    kvm::types::{Gfn, Level, Pfn},
};
use std::collections::BTreeMap;

/// The frames that are private, and which page the file has for each.
pub type Private = Mutex<BTreeMap<Gfn, Option<Pfn>>>;

impl MemSlot {
    /// Makes a frame private, for which the file has `page`. The page tables stay as they are.
    pub(crate) fn make_private(&self, gfn: Gfn, page: Option<Pfn>) {
        lock(&self.private).insert(gfn, page);
    }

    /// Whether KVM maps `gfn` from the file.
    pub fn is_from_gmem(&self, _vm: &Vm, gfn: Gfn) -> bool {
        lock(&self.private).contains_key(&gfn)
    }

    /// Whether the file has `pfn` for `gfn`. It has small pages only.
    pub fn gmem_has(&self, gfn: Gfn, level: Level, pfn: Pfn) -> bool {
        let page = lock(&self.private).get(&gfn).copied().flatten();
        level == Level::PG_4K && page == Some(pfn)
    }
}
