// SPDX-License-Identifier: GPL-2.0

//! Where the ports lead to that a Xen guest sends by, as userspace says.

use crate::ioctls::KVM_XEN_HVM_SET_ATTR;
use crate::vm::Vm;
use crate::xen::TWO_LEVELS;
use kvm_bindings::{
    kvm_xen_hvm_attr, kvm_xen_hvm_attr__bindgen_ty_1, kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2,
    kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1,
    kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1__bindgen_ty_1,
    kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1__bindgen_ty_2,
    KVM_XEN_ATTR_TYPE_EVTCHN, KVM_XEN_EVTCHN_DEASSIGN, KVM_XEN_EVTCHN_RESET, KVM_XEN_EVTCHN_UPDATE,
};
use std::io::Error;
use std::os::fd::{AsRawFd, RawFd};
use vmm_sys_util::ioctl::ioctl_with_ref;

/// What is to become of a port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// It leads somewhere.
    Assign = 0,
    /// It leads nowhere.
    Deassign = KVM_XEN_EVTCHN_DEASSIGN as isize,
    /// It leads somewhere else.
    Update = KVM_XEN_EVTCHN_UPDATE as isize,
    /// No port leads anywhere.
    Reset = KVM_XEN_EVTCHN_RESET as isize,
}

/// Xen's kinds of ports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// To another guest, or to whoever userspace likes.
    Interdomain = 2,
    /// To another vCPU, where it has the same number.
    Ipi = 5,
}

/// Where a port leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A port of a vCPU.
    Port(u32, u32),
    /// An eventfd.
    EventFd(RawFd),
}

/// What userspace says of a port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// Its number.
    pub port: u32,
    /// One of [`Kind`], or none.
    pub kind: u32,
    /// One of [`Order`], or none.
    pub flags: u32,
    /// Where it is to lead to.
    pub to: Target,
    /// There are no priorities, for which this is the number.
    pub priority: u32,
}

impl Said {
    /// As it ought to be.
    pub fn new(order: Order, kind: Kind, port: u32, to: Target) -> Self {
        Self {
            port,
            kind: kind as u32,
            flags: order as u32,
            to,
            priority: TWO_LEVELS,
        }
    }

    /// Says it of a VM. Gives the error, or 0.
    pub fn say(&self, vm: &impl AsRawFd) -> i32 {
        // SAFETY: the kernel reads the structure.
        match unsafe { ioctl_with_ref(vm, KVM_XEN_HVM_SET_ATTR(), &self.attribute()) } {
            0 => 0,
            _ => Error::last_os_error().raw_os_error().unwrap_or(0),
        }
    }

    fn attribute(&self) -> kvm_xen_hvm_attr {
        let mut attribute = kvm_xen_hvm_attr {
            type_: KVM_XEN_ATTR_TYPE_EVTCHN as u16,
            pad: [0; 3],
            u: kvm_xen_hvm_attr__bindgen_ty_1 { pad: [0; 8] },
        };
        attribute.u.evtchn = kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2 {
            send_port: self.port,
            type_: self.kind,
            flags: self.flags,
            deliver: self.deliver(),
        };
        attribute
    }

    fn deliver(&self) -> kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1 {
        type Deliver = kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1;
        match self.to {
            Target::Port(port, vcpu) => Deliver {
                port: kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1__bindgen_ty_1 {
                    port,
                    vcpu,
                    priority: self.priority,
                },
            },
            Target::EventFd(fd) => Deliver {
                eventfd: kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1__bindgen_ty_2 {
                    port: 0,
                    fd,
                },
            },
        }
    }
}

/// Makes what the guest sends through `port` an event of that port for the first vCPU.
pub fn assign(vm: &Vm, port: u32) -> Result<(), Error> {
    assign_to(vm, 0, port)
}

/// Makes what the guest sends through `port` an event of that port for a vCPU.
pub fn assign_to(vm: &Vm, vcpu: u32, port: u32) -> Result<(), Error> {
    let said = Said::new(Order::Assign, Kind::Ipi, port, Target::Port(port, vcpu));
    match said.say(&vm.fd) {
        0 => Ok(()),
        error => Err(Error::from_raw_os_error(error)),
    }
}
