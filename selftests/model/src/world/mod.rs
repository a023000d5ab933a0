// SPDX-License-Identifier: GPL-2.0

//! The world around the TDP MMU.

pub mod bitmap;
pub mod breaks;
pub mod cpu;
pub mod debt;
pub mod gpc;
pub mod kvm;
pub mod log;
pub mod notifier;
pub mod nx;
pub mod paging_cache;
pub mod plant;
pub mod pml;
pub mod primary;
pub mod ring;
pub mod slots;
pub mod variants;
pub mod view;
