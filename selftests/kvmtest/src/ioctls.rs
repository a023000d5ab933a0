// SPDX-License-Identifier: GPL-2.0

//! Numbers of KVM's calls that kvm-ioctls does not make.

// The macros take no comments. What the calls do is in the kernel's Documentation/virt/kvm/api.rst.
#![allow(missing_docs)]

use kvm_bindings::{kvm_clear_dirty_log, kvm_pre_fault_memory, KVMIO};
use vmm_sys_util::{ioctl_io_nr, ioctl_iowr_nr};

ioctl_iowr_nr!(KVM_CLEAR_DIRTY_LOG, KVMIO, 0xc0, kvm_clear_dirty_log);
ioctl_io_nr!(KVM_GET_STATS_FD, KVMIO, 0xce);
ioctl_iowr_nr!(KVM_PRE_FAULT_MEMORY, KVMIO, 0xd5, kvm_pre_fault_memory);
