// SPDX-License-Identifier: GPL-2.0

//! Tables to look at, of VMs on either backend.
//!
//! Nobody gets to an [`Entry`](super::Entry) from here: what is seen can only be told.

#![forbid(unsafe_code)]

use super::{
    page::Table,
    raw::ShadowPage, //
};
use crate::{
    kvm::{
        memory::AnyVm,
        spte::{Spte, NONPRESENT},
        types::{Gfn, Level}, //
    },
    sync::Rcu, //
};

/// A borrowed page table that can be looked at, and no more.
#[derive(Clone, Copy)]
pub struct TableView<'r>(Table<'r>);

impl<'r> TableView<'r> {
    /// The table of `root`.
    pub fn of_root(root: &'r ShadowPage, rcu: &'r impl Rcu) -> Self {
        Self(root.table(rcu))
    }

    /// The level that the table should have.
    pub fn level(self) -> Level {
        self.0.level()
    }

    /// The header. It may lie.
    pub fn page(self) -> &'r ShadowPage {
        self.0.page()
    }

    /// What the entry for `gfn` holds, and the table that it links, if it does.
    pub fn look(self, vm: &'r AnyVm, gfn: Gfn, rcu: &'r impl Rcu) -> (Spte, Option<Self>) {
        let Some(cell) = self.0.cell_for(gfn) else {
            return (NONPRESENT, None);
        };
        let spte = cell.load();
        let first = gfn.round_down(self.level());
        (spte, self.0.follow(spte, first, vm, rcu).map(Self))
    }

    /// Whether the header of `page` says that the entry for `gfn` of this table links it.
    pub fn is_parent_of(self, page: &ShadowPage, gfn: Gfn) -> bool {
        page.is_linked_by(self.0, gfn)
    }
}
