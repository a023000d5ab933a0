// SPDX-License-Identifier: GPL-2.0

//! Headers that C knows by their number.

use crate::{
    kvm::{memory::Vm, table::vm_page::VmPage},
    machine::arena::PageId,
};

impl<'r> VmPage<'r> {
    /// The page with number `id`, which is one of `vm`.
    pub(crate) fn from_id(vm: &'r Vm, id: PageId) -> Self {
        Self::new(vm, vm.machine.arena.page(id))
    }
}
