// SPDX-License-Identifier: GPL-2.0

//! Whether memory is about to go is asked under the lock, where the answer lasts.

use kvmrs_model::kvm::{Context, GfnRange, Lockless, Vm};

fn f(vm: &Vm, range: GfnRange) -> bool {
    vm.is_invalidating(range) //~ E0624
}

fn g(cx: Context<'_, Lockless>, range: GfnRange) -> bool {
    cx.is_invalidating(range) //~ E0599
}

fn main() {}
