// SPDX-License-Identifier: GPL-2.0

//! The way into a tree of page tables: where lock, RCU section and root come together.

#![forbid(unsafe_code)]

use super::{
    context::{Context, Proof},
    page::Table,
    vm_page::VmPage, //
};
use crate::{
    kvm::lock::Mode,
    sync::Rcu, //
};
use core::{
    marker::PhantomData,
    ptr, //
};

impl<'r, M: Mode> Context<'r, M> {
    /// Joins the proofs of a lock hold (`proof`) and of an RCU section (`rcu`) for a walk of the
    /// tree below `root`, whose table comes with it.
    ///
    /// `None` if the lock is that of another VM, which marks that one as broken.
    #[inline(always)]
    pub fn enter(
        proof: &'r impl Proof<Mode = M>,
        rcu: &'r impl Rcu,
        root: &'r VmPage<'_>,
    ) -> Option<(Self, Table<'r>)> {
        let vm = proof.vm();
        if !ptr::eq(vm, root.vm()) {
            vm.bug();
            return None;
        }
        // INVARIANT: Both proofs are borrowed for `'r`, and the root is the same VM's.
        let cx = Self {
            vm,
            role: root.role(),
            _mode: PhantomData,
        };
        Some((cx, root.table(rcu)))
    }

    /// The header of `table`, which was reached in this context.
    #[inline(always)]
    pub fn page_of(&self, table: Table<'r>) -> VmPage<'r> {
        VmPage::new(self.vm, table.page())
    }
}
