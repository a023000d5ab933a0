// SPDX-License-Identifier: GPL-2.0

//! The TDP MMU in user space.
//!
//! [`tdp_mmu`], [`pfncache`], [`xen`] and the parts of [`kvm`] that do not touch the kernel are the files that
//! the module is made of. Below them lies a second implementation of the safe API, in safe Rust:
//!
//! - [`machine`]: what the CPU and kvm.ko say, such as the format of entries; the memory of page
//!   tables, which is poisoned instead of freed; whether an allocation fails
//! - [`kvm`], [`mm`], [`sync`]: locks and RCU that complain about wrong use
//! - [`world`]: the rest of the world: the host's own page tables, CPUs with TLBs, and KVM's code
//!   in C that calls the TDP MMU

pub mod atomic;
pub mod kvm;
pub mod lockdep;
pub mod machine;
pub mod mm;
#[path = "../../../pfncache/mod.rs"]
pub mod pfncache;
pub mod sync;
#[path = "../../../tdp_mmu/mod.rs"]
pub mod tdp_mmu;
pub mod world;
#[path = "../../../xen/mod.rs"]
pub mod xen;
