// SPDX-License-Identifier: GPL-2.0

//! Pfn caches forget what the host changes when the change has its place, and not before.

use kvmrs_model::kvm::Vm;

fn by_the_vm(vm: &Vm) {
    vm.for_each_cache(|_| ()); //~ E0624
}

fn main() {}
