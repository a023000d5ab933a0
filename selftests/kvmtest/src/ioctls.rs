// SPDX-License-Identifier: GPL-2.0

//! Numbers of KVM's calls that kvm-ioctls does not make, and of userfaultfd's.

// The macros take no comments. What the calls do is in the kernel's Documentation/virt/kvm/api.rst
// and Documentation/admin-guide/mm/userfaultfd.rst.
#![allow(missing_docs)]

use kvm_bindings::{
    kvm_clear_dirty_log, kvm_irq_routing_xen_evtchn, kvm_pre_fault_memory, kvm_xen_hvm_attr,
    kvm_xen_hvm_config, kvm_xen_vcpu_attr, KVMIO,
};
use vmm_sys_util::{ioctl_io_nr, ioctl_iow_nr, ioctl_iowr_nr};

ioctl_iow_nr!(KVM_XEN_HVM_CONFIG, KVMIO, 0x7a, kvm_xen_hvm_config);
ioctl_iowr_nr!(KVM_CLEAR_DIRTY_LOG, KVMIO, 0xc0, kvm_clear_dirty_log);
ioctl_io_nr!(KVM_RESET_DIRTY_RINGS, KVMIO, 0xc7);
ioctl_iowr_nr!(KVM_XEN_HVM_GET_ATTR, KVMIO, 0xc8, kvm_xen_hvm_attr);
ioctl_iow_nr!(KVM_XEN_HVM_SET_ATTR, KVMIO, 0xc9, kvm_xen_hvm_attr);
ioctl_iowr_nr!(KVM_XEN_VCPU_GET_ATTR, KVMIO, 0xca, kvm_xen_vcpu_attr);
ioctl_iow_nr!(KVM_XEN_VCPU_SET_ATTR, KVMIO, 0xcb, kvm_xen_vcpu_attr);
ioctl_io_nr!(KVM_GET_STATS_FD, KVMIO, 0xce);
ioctl_iow_nr!(
    KVM_XEN_HVM_EVTCHN_SEND,
    KVMIO,
    0xd0,
    kvm_irq_routing_xen_evtchn
);
ioctl_iowr_nr!(KVM_PRE_FAULT_MEMORY, KVMIO, 0xd5, kvm_pre_fault_memory);

/// What a call of userfaultfd's takes: numbers, of which the last is an answer.
pub type Words<const N: usize> = [u64; N];

const UFFDIO: u32 = 0xaa;

ioctl_iowr_nr!(UFFDIO_REGISTER, UFFDIO, 0x00, Words<4>);
ioctl_iowr_nr!(UFFDIO_COPY, UFFDIO, 0x03, Words<5>);
ioctl_iowr_nr!(UFFDIO_WRITEPROTECT, UFFDIO, 0x06, Words<3>);
ioctl_iowr_nr!(UFFDIO_CONTINUE, UFFDIO, 0x07, Words<4>);
ioctl_iowr_nr!(UFFDIO_API, UFFDIO, 0x3f, Words<3>);
