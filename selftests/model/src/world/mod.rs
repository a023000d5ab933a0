// SPDX-License-Identifier: GPL-2.0

//! The world around the TDP MMU.

pub mod breaks;
pub mod cpu;
pub mod debt;
pub mod kvm;
pub mod mistakes;
pub mod paging_cache;
pub mod plant;
pub mod pml;
pub mod primary;
pub mod view;
