// SPDX-License-Identifier: GPL-2.0

//! The tests, by what they are about.

mod aging;
mod async_fault;
mod backends;
mod clocks;
mod counters;
mod dirty_log;
mod dirty_modes;
mod dirty_ring;
mod edges;
mod errors;
mod giving_way;
mod gmem;
mod gpc;
mod inside;
mod invalidation;
mod ksm;
mod maps;
mod memory_failure;
mod mmio;
mod notifier;
mod nx;
mod reaper;
mod recovery;
mod ring_preempted;
mod runstate;
mod smm;
mod tool;
mod tool_errors;
mod tool_holds;
mod tool_why;
mod userfault;
mod xen;
mod xen_attrs;
mod xen_call_pages;
mod xen_calls;
mod xen_closed;
mod xen_events;
mod xen_logged;
mod xen_moves;
mod xen_pages;
mod xen_poll;
mod xen_poll_wakes;
mod xen_ports;
mod xen_runstate;
mod xen_runstate_changes;
mod xen_timer;
mod xen_timer_races;
mod xen_wall_clock;
mod xen_width;

use crate::harness::Test;
use anyhow::{bail, ensure, Result};
use kvmtest::beside::beside;
use kvmtest::cpu;
use kvmtest::memory::{Backing, Memory, MIB};
use kvmtest::sysfs::{self, Setting};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE, SLOT};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread::{self, sleep};
use std::time::Duration;

/// When threads are interrupted in the kernel: "full" is at once, also in the middle of an invalidation.
const PREEMPT: &str = "/sys/kernel/debug/sched/preempt";
/// From one interruption to the next.
const PAUSE: Duration = Duration::from_micros(300);
/// What is interrupted gets so much more if it has not got on in a pause, as on a machine that others use too.
const REST: Duration = Duration::from_millis(10);

/// All tests, in the order of running.
const GROUPS: [&[Test]; 49] = [
    recovery::TESTS,
    edges::TESTS,
    dirty_log::TESTS,
    dirty_modes::TESTS,
    dirty_ring::TESTS,
    ring_preempted::TESTS,
    aging::TESTS,
    notifier::TESTS,
    invalidation::TESTS,
    giving_way::TESTS,
    reaper::TESTS,
    ksm::TESTS,
    userfault::TESTS,
    async_fault::TESTS,
    memory_failure::TESTS,
    gmem::TESTS,
    nx::TESTS,
    mmio::TESTS,
    smm::TESTS,
    backends::TESTS,
    errors::TESTS,
    inside::TESTS,
    maps::TESTS,
    counters::TESTS,
    clocks::TESTS,
    runstate::TESTS,
    gpc::TESTS,
    xen::TESTS,
    tool::TESTS,
    tool_errors::TESTS,
    tool_holds::TESTS,
    tool_why::TESTS,
    xen_calls::TESTS,
    xen_call_pages::TESTS,
    xen_wall_clock::TESTS,
    xen_poll::TESTS,
    xen_poll_wakes::TESTS,
    xen_ports::TESTS,
    xen_closed::TESTS,
    xen_events::TESTS,
    xen_pages::TESTS,
    xen_timer::TESTS,
    xen_timer_races::TESTS,
    xen_runstate::TESTS,
    xen_runstate_changes::TESTS,
    xen_logged::TESTS,
    xen_moves::TESTS,
    xen_width::TESTS,
    xen_attrs::TESTS,
];

/// Those with the given names, or all.
pub fn select(names: &[String]) -> Result<Vec<Test>> {
    let all: Vec<Test> = GROUPS.into_iter().flatten().copied().collect();
    for name in names {
        if !all.iter().any(|test| test.name == name) {
            bail!("no such test: {name}");
        }
    }
    let wanted = |test: &Test| names.is_empty() || names.iter().any(|name| name == test.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// A test on the backend that was chosen.
const fn test(name: &'static str, run: fn(&str) -> Result<()>) -> Test {
    Test {
        name,
        timeout: 60,
        mixed: false,
        four_levels: false,
        shown: false,
        report: "",
        run,
    }
}

/// A test that takes longer than most.
const fn long(name: &'static str, run: fn(&str) -> Result<()>) -> Test {
    Test {
        timeout: 120,
        ..test(name, run)
    }
}

/// A test that has VMs on both.
const fn mixed(name: &'static str, run: fn(&str) -> Result<()>) -> Test {
    Test {
        mixed: true,
        ..test(name, run)
    }
}

/// A test on a host whose page tables have four levels.
const fn four_levels(name: &'static str, run: fn(&str) -> Result<()>) -> Test {
    Test {
        four_levels: true,
        ..test(name, run)
    }
}

/// A test that shows a bug of C, which `report` describes.
const fn reported(report: &'static str, name: &'static str, run: fn(&str) -> Result<()>) -> Test {
    Test {
        report,
        ..test(name, run)
    }
}

/// A test that has figures to tell.
const fn shown(test: Test) -> Test {
    Test {
        shown: true,
        ..test
    }
}

/// The guest has so many pages of each size.
fn is_mapped(vm: &Vm, when: &str, wanted: [u64; 3]) -> Result<()> {
    let found = vm.mapped()?;
    ensure!(
        found == wanted,
        "{when}: {found:?} pages of 4K, 2M, 1G instead of {wanted:?}"
    );
    Ok(())
}

/// The vCPU does its work on pages that are there.
fn no_faults(vcpu: &mut Vcpu, work: impl FnOnce(&mut Vcpu) -> Result<()>) -> Result<()> {
    let faults = vcpu.faults_of(work)?;
    ensure!(faults == 0, "{faults} faults on pages that are there");
    Ok(())
}

/// Has threads interrupted in the kernel at once, where that can be chosen.
fn interrupt_at_once() -> Result<Option<Setting>> {
    let preempt = sysfs::exists(PREEMPT).then(|| Setting::new(PREEMPT, "full"));
    preempt.transpose()
}

/// Runs `host` alone, and then beside another slot. Alone first: what those changes drop would hide that an
/// invalidation has left something.
fn alone_and_beside_other_slot<T>(vm: &Vm, mut host: impl FnMut() -> Result<T>) -> Result<T> {
    host()?;
    beside_other_slot(vm, host)
}

/// Runs `host` while another slot of the VM comes, moves and goes. With it, KVM drops what all slots map.
fn beside_other_slot<T>(vm: &Vm, host: impl FnOnce() -> Result<T>) -> Result<T> {
    let memory = Memory::new(MIB, Backing::Small)?;
    let slot = Slot {
        id: SLOT + 1,
        gpa: 2 * BASE,
        ..Slot::of(&memory)
    };
    let moved = Slot {
        gpa: 3 * BASE,
        ..slot
    };
    let change = || {
        vm.set(&slot, 0)?;
        vm.set(&moved, 0)?;
        vm.delete(&slot)
    };
    beside(1, change, host)
}

/// `work` on one processor. A thread that goes first interrupts it there all the time, also in the kernel. It gets more
/// time while the number that it counts stays the same.
fn while_interrupted<T: Send>(work: impl FnOnce(&AtomicU32) -> Result<T> + Send) -> Result<T> {
    let _preempt = interrupt_at_once()?;
    let done = AtomicU32::new(0);
    let interrupt = || {
        cpu::go_first(1)?;
        let before = done.load(SeqCst);
        sleep(PAUSE);
        if done.load(SeqCst) == before {
            sleep(REST);
        }
        Ok(())
    };
    // A thread of its own: who interrupts inherits its processor, and no other test does.
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            cpu::stay_on(cpu::here()?)?;
            beside(1, interrupt, || work(&done))
        });
        working.join().expect("no panics here")
    })
}
