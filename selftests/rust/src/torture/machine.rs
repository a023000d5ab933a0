// SPDX-License-Identifier: GPL-2.0

//! A VM with pages that the kernel writes to, and two vCPUs that read them.
//!
//! Before each entry, the kernel is asked to write the vCPU's clock. It writes the states when a vCPU
//! begins to run, or stops. Each vCPU reads its own clock and states, and the other's in turn.

use crate::refusal::{Denials, Denied, InternalError};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{kvm_mp_state, KVM_MP_STATE_RUNNABLE};
use kvm_ioctls::VcpuExit;
use kvmtest::guest::DONE_PORT;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE, SLOT};
use kvmtest::watch::{Clock, Excess, States, Watch, STOPPED};
use kvmtest::xen::{self, Area};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::yield_now;

/// Where each vCPU's clock is in the kept memory. Four caches have this page.
const CLOCKS: [u64; 2] = [0, 64];
/// Where each vCPU's page of events is.
pub const INFOS: [u64; 2] = [128, 192];
/// Where each vCPU's states are: in two pages. Both pages have something that each change changes: the time
/// of the change is in the first, the time of being runnable in the second.
const STATES: [u64; 2] = [2 * PAGE_4K - 12, 3 * PAGE_4K - 20];
/// Where the page is that all vCPUs share.
pub const SHARED: u64 = 4 * PAGE_4K;
/// The pages of the kept memory that are used.
pub const USED: u64 = 5 * PAGE_4K;
/// Where each vCPU's clock is once more, in the memory that is taken away.
pub const TIMES: [u64; 2] = [0, 64];

/// Nanoseconds by which clocks may differ: each change of one is a new measurement.
const DRIFT: u64 = 10_000_000;

/// Interrupts that are events, and their event channels: in the second word of the pending bits.
pub const INTERRUPTS: [u32; 2] = [40, 63];
/// The event channel of the timer: in the third word.
pub const TIMER: u32 = 64;
/// Nanoseconds from the setting of the timer to its event.
const SOON: u64 = 300_000;

/// What the vCPUs' threads and the host's share.
pub struct Machine {
    /// The VM.
    pub vm: Vm,
    /// Its vCPUs, which live for as long as their threads run.
    vcpus: [RawFd; 2],
    /// Its pages keep their content, whatever happens to them.
    pub kept: Memory,
    /// The slot of those.
    pub slot: Slot,
    /// Its pages are taken away.
    pub taken: Memory,
    watch: Watch,
    /// Held for writing by who makes kept memory inaccessible to this process.
    access: RwLock<()>,
    /// The kernel may be unable to write, or the guest to read.
    pub outages: Denials,
    /// The timer is to be set.
    pub timer: AtomicBool,
    /// How often each vCPU has read everything.
    pub passes: [AtomicU32; 2],
    over: AtomicBool,
}

/// The last that a vCPU has read of a vCPU's, if nothing has hindered the kernel since.
#[derive(Clone, Copy, Default)]
struct Last {
    clock: Option<Clock>,
    states: Option<States>,
    excess: Excess,
}

impl Machine {
    /// A VM on `backend` and its vCPUs.
    pub fn new(backend: &str, backing: Backing) -> Result<(Self, [Vcpu; 2])> {
        let vm = Vm::new(backend)?;
        vm.fd.create_irq_chip().context("KVM_CREATE_IRQCHIP")?;
        xen::enable(&vm)?;
        let kept = Memory::new(PAGE_2M, backing)?;
        let taken = Memory::new(PAGE_4K, Backing::Small)?;
        let slot = Slot::of(&kept);
        vm.set(&slot, 0)?;
        vm.set(&taken_slot(&taken), 0)?;
        let vcpus = [vm.vcpu(0)?, vm.vcpu(1)?];
        let machine = Self {
            watch: Watch::new(&vm)?,
            vm,
            vcpus: vcpus.each_ref().map(|vcpu| vcpu.fd.as_raw_fd()),
            kept,
            slot,
            taken,
            access: RwLock::default(),
            outages: Denials::default(),
            timer: AtomicBool::default(),
            passes: Default::default(),
            over: AtomicBool::default(),
        };
        machine.set_up(&vcpus)?;
        Ok((machine, vcpus))
    }

    fn set_up(&self, vcpus: &[Vcpu; 2]) -> Result<()> {
        xen::set_shared_page(&self.vm, BASE + SHARED)?;
        xen::mark_changes(&self.vm)?;
        xen::route(&self.vm, &INTERRUPTS)?;
        for (index, vcpu) in vcpus.iter().enumerate() {
            let runnable = kvm_mp_state {
                mp_state: KVM_MP_STATE_RUNNABLE,
            };
            vcpu.fd.set_mp_state(runnable)?;
            vcpu.set_clock(BASE + CLOCKS[index])?;
            let areas = [
                (Area::Info, BASE + INFOS[index]),
                (Area::Runstate, BASE + STATES[index]),
                (Area::Time, taken_slot(&self.taken).gpa + TIMES[index]),
            ];
            for (area, gpa) in areas {
                xen::set_area(vcpu, area, Some(gpa)).context("setting an area")?;
            }
        }
        Ok(())
    }

    /// Whether it is over: somebody has said so.
    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    /// Ends what the threads do.
    pub fn end(&self) {
        self.over.store(true, SeqCst);
    }

    /// For who makes kept memory inaccessible to this process.
    pub fn lock_out(&self) -> (RwLockWriteGuard<'_, ()>, Denied<'_>) {
        let access = self.access.write().expect("nobody panics with the lock");
        (access, self.outages.begin())
    }

    /// For who uses kept memory from this process.
    pub fn let_in(&self) -> RwLockReadGuard<'_, ()> {
        self.access.read().expect("nobody panics with the lock")
    }

    /// What a vCPU does until it is over.
    pub fn run(&self, index: usize, vcpu: &mut Vcpu) -> Result<()> {
        let done = self.passes(index, vcpu);
        self.end();
        done.with_context(|| format!("vCPU {index}"))
    }

    fn passes(&self, index: usize, vcpu: &mut Vcpu) -> Result<()> {
        let mut last = [Last::default(); 2];
        while !self.is_over() {
            for whose in self.entered(index) {
                let before = self.outages.now();
                let started = self.clock_now()?;
                vcpu.fd.kvmclock_ctrl().context("KVM_KVMCLOCK_CTRL")?;
                let (clock, states) = self.pass(vcpu, index, whose)?;
                let ended = self.clock_now()?;
                if self.outages.any_since(before) {
                    last.iter_mut().for_each(Last::forget);
                    continue;
                }
                is_between(started, clock.read(), ended)?;
                let right = last[whose]
                    .excess
                    .is_as_before(&states, || self.excess(whose))?;
                last[whose].follow(clock, states, whose == index, right)?;
                self.set_timer(index, vcpu, clock)?;
                self.passes[index].fetch_add(1, SeqCst);
            }
        }
        Ok(())
    }

    /// Of the two, a vCPU and the other one, those of which there is something to read.
    fn entered(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let has_run = move |&whose: &usize| whose == index || self.passes[whose].load(SeqCst) != 0;
        [index, 1 - index].into_iter().filter(has_run)
    }

    fn clock_now(&self) -> Result<u64> {
        Ok(self.vm.fd.get_clock().context("KVM_GET_CLOCK")?.clock)
    }

    /// That of the states that KVM has of a vCPU.
    fn excess(&self, whose: usize) -> Result<i64> {
        Ok(xen::states(&self.vcpus[whose])?.excess())
    }

    fn set_timer(&self, index: usize, vcpu: &Vcpu, clock: Clock) -> Result<()> {
        if index == 0 && self.timer.swap(false, SeqCst) {
            xen::set_timer(vcpu, TIMER, clock.read() + SOON)?;
        }
        Ok(())
    }

    /// Has a vCPU read once. What it finds during an outage says nothing.
    fn pass(&self, vcpu: &mut Vcpu, index: usize, whose: usize) -> Result<(Clock, States)> {
        let (clock, states) = (BASE + CLOCKS[whose], BASE + STATES[whose]);
        vcpu.fd
            .set_regs(&Watch::regs(index as u64, clock, states))?;
        loop {
            let before = self.outages.now();
            let outage = || self.outages.any_since(before);
            match vcpu.fd.run() {
                Ok(VcpuExit::IoOut(DONE_PORT, _)) => return Ok(self.watch.seen(index as u64)),
                Ok(VcpuExit::MmioRead(_, data)) if outage() => data.fill(0),
                Ok(VcpuExit::InternalError) if outage() => yield_now(),
                Ok(VcpuExit::InternalError) => {
                    bail!("stopped with {}", InternalError::of(vcpu.fd.get_kvm_run()))
                }
                Ok(other) => bail!("stopped with {other:?}"),
                Err(error) if error.errno() == libc::EINTR => {}
                Err(error) if error.errno() == libc::EFAULT && outage() => yield_now(),
                Err(error) => return Err(error).context("KVM_RUN"),
            }
        }
    }
}

impl Last {
    /// Something has hindered the kernel. KVM's numbers are what they were.
    fn forget(&mut self) {
        (self.clock, self.states) = (None, None);
    }

    /// What was read now follows what was read before. The kernel has written a vCPU's own since then.
    fn follow(&mut self, clock: Clock, states: States, own: bool, right: bool) -> Result<()> {
        ensure!(!own || clock.flags & STOPPED != 0, "{clock:?} lacks a flag");
        if let (Some(old), Some(before)) = (self.clock, self.states) {
            let newer = clock.version.wrapping_sub(old.version) as i32;
            ensure!(
                newer >= i32::from(own),
                "{clock:?} is not newer than {old:?}"
            );
            let (then, now) = (old.read(), clock.read());
            ensure!(now + DRIFT > then, "the clock went from {then} to {now}");
            ensure!(
                !right || states.until >= before.until + u64::from(own),
                "{states:?} are not newer than {before:?}"
            );
        }
        (self.clock, self.states) = (Some(clock), Some(states));
        Ok(())
    }
}

/// The guest's clock is KVM's.
fn is_between(started: u64, read: u64, ended: u64) -> Result<()> {
    ensure!(
        started < read + DRIFT && read < ended + DRIFT,
        "the guest's clock is at {read}, KVM's was at {started} before and is at {ended} now"
    );
    Ok(())
}

fn taken_slot(taken: &Memory) -> Slot {
    Slot {
        id: SLOT + 1,
        gpa: BASE + 4 * MIB,
        ..Slot::of(taken)
    }
}
