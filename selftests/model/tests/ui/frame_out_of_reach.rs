// SPDX-License-Identifier: GPL-2.0

//! A table has no entry for a frame that it does not span, not even a root.

use kvmrs_model::kvm::{Context, Entry, Gfn, ShadowPage, Shared};
use kvmrs_model::sync::rcu::Guard;

fn f(cx: Context<'_, Shared>, rcu: &Guard, root: &ShadowPage, gfn: Gfn) {
    let _ = Entry::read(cx, root.table(rcu), gfn).state(); //~ E0599
}

fn main() {}
