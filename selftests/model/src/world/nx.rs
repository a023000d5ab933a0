// SPDX-License-Identifier: GPL-2.0

//! The switch of the NX workaround.

use super::{kvm::zap_all_fast, variants::Variant};
use crate::kvm::Vm;

/// Switches the workaround on or off while the VM runs (kvm.ko's parameter `nx_huge_pages`). Holds
/// `slots_lock`.
pub fn switch_nx_huge_pages(vm: &Vm, on: bool) {
    vm.set_nx_huge_pages(on);
    if !vm.variants.has(Variant::NxSwitchedOnly) {
        zap_all_fast(vm);
    }
}
