// SPDX-License-Identifier: GPL-2.0

//! Roots: their list, their references, their end.

#[path = "../../../../../rust/kvm/roots/filter.rs"]
mod filter;
#[path = "../../../../../rust/kvm/roots/lookup.rs"]
mod lookup;
mod raw;
#[path = "../../../../../rust/kvm/roots/root.rs"]
mod root;

pub use filter::RootFilter;
pub use lookup::{any_roots_rcu, roots_rcu};
pub use root::Root;
