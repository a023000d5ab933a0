// SPDX-License-Identifier: GPL-2.0

//! What KVM does for guests that were made for Xen: it writes to pages of theirs. They are guests of 32
//! bits, unless [`set_long_mode`] says something else.
//!
//! - a page that all vCPUs share: which event channels have an event
//! - for each vCPU: where to look for an event, its clock, how long it was in which state

use crate::ioctls::{
    KVM_XEN_HVM_CONFIG, KVM_XEN_HVM_EVTCHN_SEND, KVM_XEN_HVM_SET_ATTR, KVM_XEN_VCPU_GET_ATTR,
    KVM_XEN_VCPU_SET_ATTR,
};
use crate::memory::PAGE_4K;
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use crate::watch::States;
use anyhow::{Context, Result};
use kvm_bindings::{
    kvm_irq_routing_entry, kvm_irq_routing_xen_evtchn, kvm_xen_hvm_attr,
    kvm_xen_hvm_attr__bindgen_ty_1, kvm_xen_hvm_config, kvm_xen_vcpu_attr,
    kvm_xen_vcpu_attr__bindgen_ty_1, kvm_xen_vcpu_attr__bindgen_ty_1__bindgen_ty_2, KvmIrqRouting,
    KVM_IRQ_ROUTING_XEN_EVTCHN, KVM_XEN_ATTR_TYPE_LONG_MODE,
    KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG, KVM_XEN_ATTR_TYPE_SHARED_INFO,
    KVM_XEN_ATTR_TYPE_XEN_VERSION, KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
    KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, KVM_XEN_MSR_MIN_INDEX,
    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
    KVM_XEN_VCPU_ATTR_TYPE_TIMER, KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
    KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
};
use std::io::Error;
use std::os::fd::AsRawFd;
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref};

/// In the shared page: a bit for each event channel that has an event.
pub const PENDING: u64 = 0x800;
/// In a vCPU's own page: whether there is an event for it.
pub const UPCALL: u64 = 0;
/// In a vCPU's own page: a bit for each word of [`PENDING`] that has an event.
pub const SELECTOR: u64 = 4;
/// In a vCPU's own page: its clock.
pub const TIME: u64 = 32;
/// Bytes of a vCPU's own page that are used.
pub const INFO_SIZE: u64 = 64;
/// Bytes that the states of a vCPU take.
pub const RUNSTATE: u64 = 44;
/// Events have no priorities.
pub(crate) const TWO_LEVELS: u32 = u32::MAX;

/// What KVM keeps for one vCPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Area {
    /// Its events and its clock.
    Info,
    /// Its clock once more.
    Time,
    /// How long it was in which state.
    Runstate,
}

/// The result of a call that takes a structure.
macro_rules! call {
    ($fd:expr, $number:expr, $argument:expr) => {
        // SAFETY: the kernel reads the structure that belongs to this number, and writes to no
        // memory of this process but what the VM has in slots.
        match unsafe { ioctl_with_ref($fd, $number, $argument) } {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        }
    };
}

/// Makes `vm` one for such guests.
pub fn enable(vm: &Vm) -> Result<()> {
    let config = kvm_xen_hvm_config {
        flags: KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
        msr: KVM_XEN_MSR_MIN_INDEX,
        ..Default::default()
    };
    call!(&vm.fd, KVM_XEN_HVM_CONFIG(), &config).context("KVM_XEN_HVM_CONFIG")
}

/// Says where the shared page is.
pub fn set_shared_page(vm: &Vm, gpa: u64) -> Result<()> {
    let mut attribute = attribute(KVM_XEN_ATTR_TYPE_SHARED_INFO);
    attribute.u.shared_info.gfn = gpa / PAGE_4K;
    call!(&vm.fd, KVM_XEN_HVM_SET_ATTR(), &attribute).context("setting the shared page")
}

/// Says whether the guest is one of 64 bits.
pub fn set_long_mode(vm: &Vm, on: bool) -> Result<()> {
    let mut attribute = attribute(KVM_XEN_ATTR_TYPE_LONG_MODE);
    attribute.u.long_mode = on.into();
    call!(&vm.fd, KVM_XEN_HVM_SET_ATTR(), &attribute).context("setting the width")
}

/// Says which version of Xen the guest is told of.
pub fn set_version(vm: &Vm, version: u32) -> Result<()> {
    let mut attribute = attribute(KVM_XEN_ATTR_TYPE_XEN_VERSION);
    attribute.u.xen_version = version;
    call!(&vm.fd, KVM_XEN_HVM_SET_ATTR(), &attribute).context("setting the version")
}

/// Says which number a vCPU has in the guest's calls.
pub fn set_id(vcpu: &Vcpu, id: u32) -> Result<()> {
    let mut attribute = vcpu_attribute(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID);
    attribute.u.vcpu_id = id;
    call!(&vcpu.fd, KVM_XEN_VCPU_SET_ATTR(), &attribute).context("setting a vCPU's number")
}

/// Has KVM mark a vCPU's states while it changes them.
pub fn mark_changes(vm: &Vm) -> Result<()> {
    let mut attribute = attribute(KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG);
    attribute.u.runstate_update_flag = 1;
    call!(&vm.fd, KVM_XEN_HVM_SET_ATTR(), &attribute).context("marking changes of states")
}

fn attribute(type_: u32) -> kvm_xen_hvm_attr {
    kvm_xen_hvm_attr {
        type_: type_ as u16,
        pad: [0; 3],
        u: kvm_xen_hvm_attr__bindgen_ty_1 { pad: [0; 8] },
    }
}

/// Says where a vCPU's `area` is, or `None`: nowhere.
pub fn set_area(vcpu: &Vcpu, area: Area, gpa: Option<u64>) -> Result<(), Error> {
    let mut attribute = vcpu_attribute(match area {
        Area::Info => KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
        Area::Time => KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
        Area::Runstate => KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
    });
    attribute.u.gpa = gpa.unwrap_or(u64::MAX);
    call!(&vcpu.fd, KVM_XEN_VCPU_SET_ATTR(), &attribute)
}

/// The states that KVM has of a vCPU, whether or not the guest has a place for them. This waits until the
/// vCPU has stopped.
pub fn states(vcpu: &impl AsRawFd) -> Result<States> {
    let mut attribute = vcpu_attribute(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA);
    // SAFETY: the structure is what belongs to this number, and the kernel writes to nothing else.
    let failed = unsafe { ioctl_with_mut_ref(vcpu, KVM_XEN_VCPU_GET_ATTR(), &mut attribute) };
    if failed != 0 {
        return Err(Error::last_os_error()).context("getting the states");
    }
    // SAFETY: the kernel has filled in this part of the union; it consists of numbers.
    let states = unsafe { attribute.u.runstate };
    Ok(States {
        until: states.state_entry_time,
        times: [
            states.time_running,
            states.time_runnable,
            states.time_blocked,
            states.time_offline,
        ],
    })
}

/// When a vCPU's timer goes off, on the guest's clock. Zero if it does not.
pub fn timer(vcpu: &impl AsRawFd) -> Result<u64> {
    let mut attribute = vcpu_attribute(KVM_XEN_VCPU_ATTR_TYPE_TIMER);
    // SAFETY: the structure is what belongs to this number, and the kernel writes to nothing else.
    let failed = unsafe { ioctl_with_mut_ref(vcpu, KVM_XEN_VCPU_GET_ATTR(), &mut attribute) };
    if failed != 0 {
        return Err(Error::last_os_error()).context("getting a timer");
    }
    // SAFETY: the kernel has filled in this part of the union; it consists of numbers.
    Ok(unsafe { attribute.u.timer }.expires_ns)
}

/// Has an event come through channel `port` when the guest's clock is at `nanoseconds`.
pub fn set_timer(vcpu: &impl AsRawFd, port: u32, nanoseconds: u64) -> Result<()> {
    let mut attribute = vcpu_attribute(KVM_XEN_VCPU_ATTR_TYPE_TIMER);
    attribute.u.timer = kvm_xen_vcpu_attr__bindgen_ty_1__bindgen_ty_2 {
        port,
        priority: TWO_LEVELS,
        expires_ns: nanoseconds,
    };
    call!(vcpu, KVM_XEN_VCPU_SET_ATTR(), &attribute).context("setting a timer")
}

fn vcpu_attribute(type_: u32) -> kvm_xen_vcpu_attr {
    kvm_xen_vcpu_attr {
        type_: type_ as u16,
        pad: [0; 3],
        u: kvm_xen_vcpu_attr__bindgen_ty_1 { pad: [0; 8] },
    }
}

/// A channel of a vCPU.
fn channel(vcpu: u32, port: u32) -> kvm_irq_routing_xen_evtchn {
    kvm_irq_routing_xen_evtchn {
        port,
        vcpu,
        priority: TWO_LEVELS,
    }
}

/// Sends the first vCPU an event.
pub fn send(vm: &Vm, port: u32) -> Result<(), Error> {
    send_to(vm, 0, port)
}

/// Sends a vCPU an event.
pub fn send_to(vm: &Vm, vcpu: u32, port: u32) -> Result<(), Error> {
    call!(&vm.fd, KVM_XEN_HVM_EVTCHN_SEND(), &channel(vcpu, port))
}

/// Makes interrupt `n` an event of `ports[n]` for the first vCPU.
pub fn route(vm: &Vm, ports: &[u32]) -> Result<()> {
    route_to(vm, 0, ports)
}

/// Makes interrupt `n` an event of `ports[n]` for a vCPU.
pub fn route_to(vm: &Vm, vcpu: u32, ports: &[u32]) -> Result<()> {
    let entries = ports.iter().enumerate().map(|(gsi, &port)| {
        let mut entry = kvm_irq_routing_entry {
            gsi: gsi as u32,
            type_: KVM_IRQ_ROUTING_XEN_EVTCHN,
            ..Default::default()
        };
        entry.u.xen_evtchn = channel(vcpu, port);
        entry
    });
    let entries: Vec<_> = entries.collect();
    let routing = KvmIrqRouting::from_entries(&entries).context("too many interrupts")?;
    vm.fd
        .set_gsi_routing(&routing)
        .context("KVM_SET_GSI_ROUTING")
}
