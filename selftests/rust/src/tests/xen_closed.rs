// SPDX-License-Identifier: GPL-2.0

//! VMs of Xen guests end while their ports are in use.

use super::test;
use crate::clock::{repeat, wait_for};
use crate::harness::Test;
use crate::rng::Rng;
use anyhow::{Context, Result};
use kvmtest::backend;
use kvmtest::beside::beside;
use kvmtest::memory::Memory;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen;
use kvmtest::xen_calls::{Call, Caller, CHANNEL, SEND};
use kvmtest::xen_guest::{XenGuest, DATA, SHARED};
use kvmtest::xen_layout::Layout;
use kvmtest::xen_ports::{Kind, Order, Said, Target};
use std::os::fd::{AsRawFd, RawFd};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[test("xen_ports_closed", closed)];

/// By which the guest sends, and the one of an interrupt.
const PORT: u32 = 5;
const OTHER: u32 = 70;
const SENDING: Call = Call::new(CHANNEL, &[SEND, BASE + DATA]);

const SEED: u64 = 27;
const MILLIS: u64 = 5_000;
const VMS: u32 = 12;
/// For how long a VM and its vCPU are used before they are closed, in microseconds.
const USED: u64 = 20_000;

/// A file that may be closed.
struct Fd(RawFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// What the guest sends by its port goes to this vCPU.
fn to_vcpu(order: Order, vcpu: u32) -> Said {
    Said::new(order, Kind::Ipi, PORT, Target::Port(PORT, vcpu))
}

/// VMs are closed while their guests send, interrupts come, and userspace says where ports lead to.
fn closed(backend: &str) -> Result<()> {
    let before = backend::count(backend)?.alive;
    let mut rng = Rng::new(SEED);
    repeat(MILLIS, VMS, |_| {
        let used = [(); 2].map(|()| Duration::from_micros(rng.within(0..USED)));
        close_under_use(XenGuest::new(backend, Layout::Native)?, used)
    })?;
    wait_for("the VMs are gone", || {
        Ok(backend::count(backend)?.alive == before)
    })
}

/// The VM and the vCPU are closed after these times.
fn close_under_use(guest: XenGuest, [vm_used, vcpu_used]: [Duration; 2]) -> Result<()> {
    let XenGuest {
        vm,
        vcpu,
        caller,
        memory,
    } = guest;
    memory.store(DATA, PORT);
    let [bell, interrupt] = [EventFd::new(0)?, EventFd::new(0)?];
    vm.fd.register_irqfd(&interrupt, 0).context("KVM_IRQFD")?;
    xen::route(&vm, &[OTHER])?;
    let fd = Fd(vm.fd.as_raw_fd());
    scope(|scope| {
        let sending = scope.spawn(|| send(vcpu, &caller, vcpu_used));
        let saying = scope.spawn(|| while say(&fd, &bell) {});
        beside(
            1,
            || come(&interrupt, &memory),
            || {
                sleep(vm_used);
                close(vm)?;
                saying.join().expect("no panics here");
                sending.join().expect("no panics here")
            },
        )
    })
}

fn close(mut vm: Vm) -> Result<()> {
    vm.check_early()
}

/// The guest sends, until its vCPU is closed.
fn send(mut vcpu: Vcpu, caller: &Caller, used: Duration) -> Result<()> {
    let begin = Instant::now();
    loop {
        caller.call(&mut vcpu, Layout::Native, 0, SENDING)?;
        if begin.elapsed() > used {
            return Ok(());
        }
    }
}

/// An interrupt comes, and the guest has taken all events.
fn come(interrupt: &EventFd, memory: &Memory) -> Result<()> {
    interrupt.write(1)?;
    memory.write(SHARED + xen::PENDING, &[0; 16]);
    Ok(())
}

/// The guest's port leads to one vCPU after the other, to an eventfd, and nowhere. Gives whether the VM is there.
fn say(vm: &Fd, bell: &EventFd) -> bool {
    let bell = Target::EventFd(bell.as_raw_fd());
    let to_bell = |port| Said::new(Order::Assign, Kind::Interdomain, port, bell);
    let all = [
        to_vcpu(Order::Assign, 0),
        to_vcpu(Order::Update, 1),
        to_vcpu(Order::Update, 0),
        to_vcpu(Order::Deassign, 0),
        to_bell(PORT),
        to_bell(OTHER),
        to_vcpu(Order::Reset, 0),
        to_vcpu(Order::Assign, 1),
        to_vcpu(Order::Update, 0),
    ];
    all.iter().all(|said| said.say(vm) != libc::EBADF)
}
