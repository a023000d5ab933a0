// SPDX-License-Identifier: GPL-2.0

//! The TDP MMU: page tables that translate guest physical addresses.
//!
//! Who may do what to an entry:
//!
//! | holder of            | may                                                            |
//! |----------------------|----------------------------------------------------------------|
//! | RCU                  | read; age a leaf, or restore its rights, by                    |
//! |                      | compare-and-exchange                                           |
//! | `mmu_lock` for read  | any transition, by compare-and-exchange                        |
//! | `mmu_lock` for write | zap, clear, track, split, collapse; by exchange where hardware  |
//! |                      | or the fast page-fault path may set bits, else by a store      |
//!
//! Under the lock for read whoever cuts off a table freezes its entries one by one, so that a
//! fault which found the table before cannot leave anything behind in it. Tables are freed by RCU.
//! `mmu_lock` for read does not protect the list of roots or the list of pages that stand in the
//! way of huge ones; `tdp_mmu_pages_lock` does, and is taken inside RCU sections.
//!
//! One file for each thing that the rest of KVM asks for; [`walk`] is how they get at entries.
//!
//! C counterpart: `arch/x86/kvm/mmu/tdp_mmu.c`.

#![forbid(unsafe_code)]
#![deny(unused_must_use)]

pub mod age;
mod change;
pub mod dirty;
pub mod each_root;
pub mod fast;
pub mod fault;
pub mod harvest;
pub mod inside;
pub mod leaf;
pub mod lookup;
pub mod map;
pub mod notifier;
pub mod nx;
pub mod recover;
pub mod roots;
pub mod split;
pub mod visitor;
pub mod walk;
pub mod zap;
