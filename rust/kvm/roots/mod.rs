// SPDX-License-Identifier: GPL-2.0

//! Roots: their list, their references, their end.
//!
//! `kvm->arch.tdp_mmu_roots` is an RCU list; `tdp_mmu_pages_lock` keeps writers apart. A root has
//! one reference per vCPU that uses it and one of the TDP MMU's own, which ends after the root was
//! invalidated and zapped. A [`Root`] is one more, so a walk may drop `mmu_lock` and find its root
//! again. The last reference takes the root off the list and frees it by RCU; a valid root never
//! gets there. Validity is not a matter of references: it changes under `mmu_lock` held for write.
//!
//! The model compiles all but `raw/`, and has a list and counts of its own.

mod filter;
mod lookup;
mod raw;
mod root;

pub use filter::RootFilter;
pub use lookup::{
    any_roots_rcu,
    roots_rcu, //
};
pub use root::Root;
