// SPDX-License-Identifier: GPL-2.0

//! What the ports lead to that a guest sends by.

use crate::{
    kvm::{
        xen::{Assigned, Destination, Event, EventFd, Kind},
        Vm, //
    },
    xen::ports::{
        Invalid,
        Order,
        Route,
        Wish, //
    }, //
};
use kernel::{
    error::Error,
    prelude::*, //
};
use kvm_bindings as bindings;

impl From<Invalid> for Error {
    fn from(_: Invalid) -> Self {
        EINVAL
    }
}

impl From<Route> for Destination {
    fn from(route: Route) -> Self {
        Self::Port(Event::new(route.port, route.vcpu))
    }
}

type Said = bindings::kvm_xen_hvm_attr__bindgen_ty_1__bindgen_ty_2;

/// Userspace says what ports lead to (`kvm_xen_setattr_evtchn`).
pub(super) fn set(vm: &Vm, said: &Said) -> Result {
    // SAFETY: All parts of the union are numbers, for which any bits will do.
    let (to, eventfd) = unsafe { (said.deliver.port, said.deliver.eventfd) };
    let wish = Wish {
        port: said.send_port,
        kind: said.type_,
        flags: said.flags,
        to: to.port,
        vcpu: to.vcpu,
        priority: to.priority,
    };
    change(vm, &wish, eventfd.fd)
}

fn change(vm: &Vm, wish: &Wish, fd: i32) -> Result {
    match wish.order(vm.xen_layout())? {
        Order::RemoveAll => vm.xen_lock().remove_all(),
        Order::Remove(port) => vm.xen_lock().remove(port),
        Order::Move(port) => move_to(vm, port, wish),
        Order::Assign(port, kind, route) => assign(vm, port, kind, route, fd),
    }
}

fn move_to(vm: &Vm, port: u32, wish: &Wish) -> Result {
    let lock = vm.xen_lock();
    let old = lock.assigned(port).ok_or(ENOENT)?;
    let new = Assigned {
        kind: old.kind,
        to: wish.moved(old)?.into(),
    };
    lock.replace(port, new)
}

fn assign(vm: &Vm, port: u32, kind: Kind, route: Option<Route>, fd: i32) -> Result {
    let to = match route {
        Some(route) => route.into(),
        None => Destination::EventFd(EventFd::of(fd)?),
    };
    vm.xen_lock().assign(port, Assigned { kind, to })
}

/// Nobody uses the VM any more (`kvm_xen_destroy_vm`).
///
/// # Safety
///
/// `kvm` is a live VM without vCPUs, and nobody else uses it.
pub(in crate::backend) unsafe extern "C" fn destroy_vm(kvm: *mut bindings::kvm) {
    // SAFETY: The VM is live, and by the section above nobody else uses it.
    unsafe { Vm::from_raw(kvm).free_xen_ports() };
}
