// SPDX-License-Identifier: GPL-2.0

//! `struct kvm_xen` and `struct kvm_vcpu_xen`. The model has its own.

mod runner;

pub use runner::Runner;
