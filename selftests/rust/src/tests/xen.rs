// SPDX-License-Identifier: GPL-2.0

//! Guests that were made for Xen: who serves them.
//!
//! Functions of xen.c are also where the backend is asked, so it does not matter that they are called, but what
//! they do then: on Rust nothing but to ask.

use super::test;
use crate::clock::wait_for;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{
    KVM_XEN_ATTR_TYPE_XEN_VERSION, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
    KVM_XEN_VCPU_ATTR_TYPE_TIMER,
};
use kvmtest::backend::RUST;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::probes::{Code, Probes, Whose};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen::{self, Area};
use kvmtest::xen_attr::Attribute;
use kvmtest::xen_calls::{
    Answer, Call, CHANNEL, POLL, SCHED, SEND, SET_TIMER, STOP_TIMER, TIMER, VCPU, VERSION, YIELD,
};
use kvmtest::xen_guest::{XenGuest, DATA, SHARED};
use kvmtest::xen_layout::Layout;
use kvmtest::xen_ports;
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[test("xen_whose", whose)];

/// What C calls before it accesses a page that it shares with a guest.
const C_PIN: &str = "kvm:kvm_gpc_check";
/// Functions of xen.c where no backend is asked. What else there is sets a VM or a vCPU up, or ends it.
const OF_C: [&str; 5] = [
    "kvm_xen_shared_info_init",
    "kvm_xen_start_timer",
    "kvm_xen_update_runstate_guest",
    "kvm_xen_hypercall_complete_userspace",
    "wait_pending_event",
];
/// What all others in xen.c call to do their work, but for the locks: C takes over a configuration that the backend
/// has looked at.
const CALLED: [&str; 14] = [
    "__srcu_read_lock",
    "get_kvmclock_ns",
    "hrtimer_cancel",
    "hrtimer_start_range_ns",
    "idr_alloc",
    "idr_find",
    "kvm_gpc_activate",
    "kvm_gpc_refresh",
    "mark_page_dirty_in_slot",
    "kvm_get_linear_rip",
    "kvm_read_guest_virt",
    "kvm_vcpu_halt",
    "kvm_vcpu_on_spin",
    "kvm_vcpu_write_guest",
];
const PORT: u32 = 5;
const ROUNDS: u32 = 4;
/// The port of a timer.
const OTHER: u32 = 6;
/// Two of the attributes that can be read, and one that can be set.
const XEN_VERSION: Attribute = Attribute::Vm(KVM_XEN_ATTR_TYPE_XEN_VERSION as u16);
const TIMER_SET: Attribute = Attribute::Vcpu(KVM_XEN_VCPU_ATTR_TYPE_TIMER as u16);
const STATE: Attribute = Attribute::Vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT as u16);

/// C never does anything for a guest on Rust, and does all of it for one on C. Both guests have the same.
fn whose(backend: &str) -> Result<()> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no kprobes".into()));
    }
    let by_c = Whose::Of(Code::of("kvm", "kvm_xen_")?);
    for (functions, whose) in [
        (&[C_PIN][..], Whose::All),
        (&OF_C, Whose::All),
        (&CALLED, by_c),
    ] {
        let calls = Probes::new(functions, whose)?;
        let guests = (keeps_its_pages(backend)?, is_served(backend)?);
        // The end of a VM is C's.
        let calls = calls.each()?;
        drop(guests);
        for (function, calls) in functions.iter().zip(calls) {
            let mine = backend != RUST;
            ensure!(
                mine == (calls > 0),
                "{calls} calls of {function} on {backend}"
            );
        }
    }
    Ok(())
}

/// The guest's pages go and come.
fn keeps_its_pages(backend: &str) -> Result<(Vm, Vcpu, Memory)> {
    let memory = Memory::new(3 * PAGE_4K, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    xen::enable(&vm)?;
    xen::set_shared_page(&vm, BASE)?;
    for round in 1..=ROUNDS {
        memory.discard(0..2 * PAGE_4K)?;
        // In other rounds the kernel has to look for the page when the vCPU is entered.
        if round % 2 == 1 {
            xen::set_area(&vcpu, Area::Info, Some(BASE + PAGE_4K)).context("placing an area")?;
        }
        has_event(&vm, &memory, &mut vcpu, round)?;
    }
    Ok((vm, vcpu, memory))
}

/// An event gets to its guest by way of empty pages.
fn has_event(vm: &Vm, memory: &Memory, vcpu: &mut Vcpu, round: u32) -> Result<()> {
    xen::send(vm, PORT).context("sending an event")?;
    vcpu.fill(&(BASE + 2 * PAGE_4K..BASE + 3 * PAGE_4K), round)?;
    let seen = [
        memory.load(xen::PENDING),
        memory.load(PAGE_4K + xen::SELECTOR),
        memory.load(PAGE_4K + xen::UPCALL),
    ];
    ensure!(
        seen == [1 << PORT, 1, 1],
        "round {round}: the guest has {seen:?}"
    );
    Ok(())
}

/// Everything else that KVM does for such a guest.
fn is_served(backend: &str) -> Result<XenGuest> {
    let mut guest = XenGuest::new(backend, Layout::Native)?;
    has_attributes(&guest)?;
    has_interrupt(&guest)?;
    has_answers(&mut guest)?;
    Ok(guest)
}

fn has_attributes(guest: &XenGuest) -> Result<()> {
    let XenGuest { vm, vcpu, .. } = guest;
    xen::set_version(vm, 1)?;
    xen_ports::assign(vm, PORT)?;
    xen::set_id(vcpu, 0)?;
    xen::set_timer(vcpu, OTHER, u64::MAX >> 1)?;
    xen::set_timer(vcpu, OTHER, 0)?;
    xen::set_area(vcpu, Area::Time, Some(BASE + DATA + PAGE_4K)).context("placing a clock")?;
    let states = BASE + DATA + PAGE_4K - 20;
    xen::set_area(vcpu, Area::Runstate, Some(states)).context("placing the states")?;
    for state in [0, 1, 2, 3] {
        let error = STATE.set(vm, vcpu, [state, 0, 0, 0, 0, 0, 0, 0]);
        ensure!(error == 0, "state {state}: {error}");
    }
    for attribute in [XEN_VERSION, TIMER_SET, STATE] {
        let (error, _) = attribute.get(vm, vcpu);
        ensure!(error == 0, "{attribute:?}: {error}");
    }
    Ok(())
}

fn has_interrupt(guest: &XenGuest) -> Result<()> {
    let interrupt = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
    let wired = guest.vm.fd.register_irqfd(&interrupt, 0);
    wired.context("KVM_IRQFD")?;
    xen::route(&guest.vm, &[PORT])?;
    interrupt.write(1)?;
    wait_for("the interrupt's event", || Ok(has(guest, PORT)))
}

fn has_answers(guest: &mut XenGuest) -> Result<()> {
    // For how long it waits for a channel that has no event, what it sends, and the time of a timer.
    let ports = BASE + DATA + 16;
    let words = [
        ports as u32,
        1,
        1_000_000,
        0,
        PORT + 2,
        PORT,
        u32::MAX,
        u32::MAX >> 1,
    ];
    for (index, word) in (0..).zip(words) {
        guest.memory.store(DATA + 4 * index, word);
    }
    let known = [
        VERSION,
        Call::new(SCHED, &[POLL, BASE + DATA]),
        Call::new(SCHED, &[YIELD]),
        Call::new(CHANNEL, &[SEND, BASE + DATA + 20]),
        Call::new(VCPU, &[SET_TIMER, 0, BASE + DATA + 24]),
        Call::new(VCPU, &[STOP_TIMER, 0]),
        Call::new(TIMER, &[1]),
    ];
    for call in known {
        let answer = guest.caller.ask(&mut guest.vcpu, call)?;
        ensure!(
            matches!(answer, Answer::Kernel(0 | 1)),
            "{call:x?}: {answer:x?}"
        );
    }
    wait_for("the timer's event", || Ok(has(guest, OTHER)))?;
    let unknown = guest.caller.ask(&mut guest.vcpu, Call::new(1, &[]))?;
    ensure!(matches!(unknown, Answer::Userspace { .. }), "{unknown:x?}");
    Ok(())
}

/// Whether a channel has an event.
fn has(guest: &XenGuest, port: u32) -> bool {
    guest.memory.load(SHARED + xen::PENDING) & 1 << port != 0
}
