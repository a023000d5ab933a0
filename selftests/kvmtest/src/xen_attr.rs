// SPDX-License-Identifier: GPL-2.0

//! The attributes of a Xen guest's VM and vCPUs as numbers, for who sets wrong ones.

use crate::ioctls::{
    KVM_XEN_HVM_CONFIG, KVM_XEN_HVM_GET_ATTR, KVM_XEN_HVM_SET_ATTR, KVM_XEN_VCPU_GET_ATTR,
    KVM_XEN_VCPU_SET_ATTR,
};
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use kvm_bindings::{
    kvm_xen_hvm_attr, kvm_xen_hvm_attr__bindgen_ty_1, kvm_xen_hvm_config, kvm_xen_vcpu_attr,
    kvm_xen_vcpu_attr__bindgen_ty_1,
};
use std::io::Error;
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref};

/// What an attribute holds.
pub type Words = [u64; 8];

/// The error of a call, or 0.
fn errno(failed: i32) -> i32 {
    match failed {
        0 => 0,
        _ => Error::last_os_error().raw_os_error().unwrap_or(0),
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attribute {
    /// Of a VM.
    Vm(u16),
    /// Of a vCPU.
    Vcpu(u16),
}

impl Attribute {
    /// Sets it. Gives the error.
    pub fn set(self, vm: &Vm, vcpu: &Vcpu, words: Words) -> i32 {
        // SAFETY: the kernel reads the structure. It writes to the guest's memory, which is what the VM has
        // in slots, or where the caller says that it is.
        errno(unsafe {
            match self {
                Self::Vm(type_) => {
                    ioctl_with_ref(&vm.fd, KVM_XEN_HVM_SET_ATTR(), &of_vm(type_, words))
                }
                Self::Vcpu(type_) => {
                    ioctl_with_ref(&vcpu.fd, KVM_XEN_VCPU_SET_ATTR(), &of_vcpu(type_, words))
                }
            }
        })
    }

    /// Gets it, with the error.
    pub fn get(self, vm: &Vm, vcpu: &Vcpu) -> (i32, Words) {
        match self {
            Self::Vm(type_) => {
                let mut all = of_vm(type_, [0; 8]);
                // SAFETY: the kernel writes to this structure and to nothing else.
                let failed =
                    unsafe { ioctl_with_mut_ref(&vm.fd, KVM_XEN_HVM_GET_ATTR(), &mut all) };
                // SAFETY: all of the union was set, and consists of numbers.
                (errno(failed), unsafe { all.u.pad })
            }
            Self::Vcpu(type_) => {
                let mut all = of_vcpu(type_, [0; 8]);
                // SAFETY: the kernel writes to this structure and to nothing else.
                let failed =
                    unsafe { ioctl_with_mut_ref(&vcpu.fd, KVM_XEN_VCPU_GET_ATTR(), &mut all) };
                // SAFETY: all of the union was set, and consists of numbers.
                (errno(failed), unsafe { all.u.pad })
            }
        }
    }
}

/// Configures a VM. Gives the error.
pub fn configure(vm: &Vm, config: &kvm_xen_hvm_config) -> i32 {
    // SAFETY: the kernel reads the structure.
    errno(unsafe { ioctl_with_ref(&vm.fd, KVM_XEN_HVM_CONFIG(), config) })
}

fn of_vm(type_: u16, pad: Words) -> kvm_xen_hvm_attr {
    kvm_xen_hvm_attr {
        type_,
        pad: [0; 3],
        u: kvm_xen_hvm_attr__bindgen_ty_1 { pad },
    }
}

fn of_vcpu(type_: u16, pad: Words) -> kvm_xen_vcpu_attr {
    kvm_xen_vcpu_attr {
        type_,
        pad: [0; 3],
        u: kvm_xen_vcpu_attr__bindgen_ty_1 { pad },
    }
}
