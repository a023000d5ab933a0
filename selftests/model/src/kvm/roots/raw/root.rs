// SPDX-License-Identifier: GPL-2.0

//! References that come from a vCPU, or go there.

use crate::{
    kvm::{memory::Vm, roots::root::Root, table::VmPage},
    machine::arena::PageId,
};
use std::mem::ManuallyDrop;

impl<'vm> Root<'vm> {
    /// Takes over a reference that a vCPU gives up.
    pub(crate) fn from_id(vm: &'vm Vm, id: PageId) -> Self {
        Self::counted(VmPage::from_id(vm, id))
    }

    pub(in crate::kvm) fn into_id(self) -> PageId {
        ManuallyDrop::new(self).id()
    }
}
