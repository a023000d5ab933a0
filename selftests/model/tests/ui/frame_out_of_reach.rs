// SPDX-License-Identifier: GPL-2.0

//! A table has no entry for a frame that it does not span, not even a root's.

use kvmrs_model::kvm::{table::Table, Context, Entry, Gfn, Shared};

fn f<'r>(cx: Context<'r, Shared>, table: Table<'r>, gfn: Gfn) {
    let _ = Entry::read(cx, table, gfn).state(); //~ E0599
}

fn main() {}
