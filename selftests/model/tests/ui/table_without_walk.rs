// SPDX-License-Identifier: GPL-2.0

//! A table comes out of a walk that has joined lock, RCU section and root, and the page of a counted
//! root does not outlive the reference.

use kvmrs_model::kvm::{Root, ShadowPage, Vm, VmPage};
use kvmrs_model::sync::rcu::Guard;

fn table(root: &VmPage<'_>, rcu: &Guard) {
    let _ = root.table(rcu); //~ E0624
}

fn forged<'r>(vm: &'r Vm, page: &'r ShadowPage) -> VmPage<'r> {
    VmPage::new(vm, page) //~ E0624
}

fn copied<'vm>(root: &Root<'vm>) -> VmPage<'vm> {
    **root //~ E0507
}

fn kept(root: Root<'_>) {
    let page: &VmPage<'_> = &root;
    drop(root); //~ E0505
    let _ = page.role();
}

fn main() {}
