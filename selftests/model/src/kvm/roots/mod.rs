// SPDX-License-Identifier: GPL-2.0

//! Roots: their list, their references, their end.

#[path = "../../../../../rust/kvm/roots/filter.rs"]
mod filter;
mod lookup;
mod root;

pub use filter::RootFilter;
pub use lookup::{any_roots_rcu, roots_rcu};
pub use root::Root;
