// SPDX-License-Identifier: GPL-2.0

//! Which backend a VM is on, and that VMs of both do not disturb each other or leave anything.

use super::{mixed, test};
use crate::clock::{repeat, wait_for};
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_LOG_DIRTY_PAGES as LOG;
use kvmtest::backend::{self, Count, C, PARAMETER, RUST};
use kvmtest::debugfs::held;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::module;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{eager_split, Slot, Vm, BASE};
use std::thread;

pub const TESTS: &[Test] = &[
    test("backend_names", names),
    mixed("backend_is_kept", is_kept),
    mixed("backend_side_by_side", side_by_side),
    mixed("backend_holds_module", holds_module),
    test("nothing_left", nothing_left),
];

/// Only names of backends are taken; any other leaves the choice as it was.
fn names(backend: &str) -> Result<()> {
    let _choice = backend::choose_for_now(backend)?;
    for name in ["", "C", "rus", "rust2", "tdp_mmu", "c rust", "\0"] {
        let error = std::fs::write(PARAMETER, name)
            .err()
            .and_then(|error| error.raw_os_error());
        // An empty write changes nothing, and does not even reach the parameter.
        let wanted = if name.is_empty() {
            None
        } else {
            Some(libc::ENODEV)
        };
        ensure!(error == wanted, "'{name}' gives {error:?}, not {wanted:?}");
        ensure!(backend::chosen()? == backend, "'{name}' changed the choice");
    }
    Vm::new(backend).map(drop)
}

/// A VM stays where it was made, whatever is chosen later and whoever comes and goes.
fn is_kept(chosen: &str) -> Result<()> {
    let _choice = backend::choose_for_now(chosen)?;
    let other = other(chosen);
    let before = [backend::count(chosen)?, backend::count(other)?];
    let memory = Memory::new(MIB, Backing::Small)?;
    let range = Slot::of(&memory).range();
    let (kept, mut vcpu) = Vm::with(chosen, &memory)?;
    for round in 0..5 {
        let (_guest, mut neighbour) = Vm::with(other, &memory)?;
        vcpu.fill(&range, round)?;
        neighbour.check(&range, round)?;
        counts(chosen, before[0], 1, 1)?;
        counts(other, before[1], u64::from(round) + 1, 1)?;
        drop(neighbour);
        drop(_guest);
        wait_for("the other VM is gone", || {
            Ok(backend::count(other)?.alive == before[1].alive)
        })?;
    }
    drop(vcpu);
    drop(kept);
    wait_for("the VM is gone", || {
        Ok(backend::count(chosen)?.alive == before[0].alive)
    })
}

fn counts(backend: &str, before: Count, created: u64, alive: u64) -> Result<()> {
    let wanted = Count {
        created: before.created + created,
        alive: before.alive + alive,
    };
    let found = backend::count(backend)?;
    ensure!(
        found == wanted,
        "VMs on {backend}: {found:?} instead of {wanted:?}"
    );
    Ok(())
}

/// A VM on each backend, over the same memory, with everything going on at once: both see every
/// new page, and each has its own dirty log.
fn side_by_side(chosen: &str) -> Result<()> {
    let _choice = backend::choose_for_now(chosen)?;
    let memory = Memory::new(4 * PAGE_2M, Backing::Huge)?;
    let _split = eager_split(true)?;
    let (one, mut one_vcpu) = Vm::with(chosen, &memory)?;
    let (two, mut two_vcpu) = Vm::with(other(chosen), &memory)?;
    let result = thread::scope(|scope| {
        let second = scope.spawn(|| echo_and_log(&two, &mut two_vcpu, &memory, 64));
        let first = echo_and_log(&one, &mut one_vcpu, &memory, 0);
        first.and(second.join().expect("nothing panics here"))
    });
    result?;
    own_logs([(&one, &mut one_vcpu), (&two, &mut two_vcpu)], &memory)
}

/// Zaps 2M of its own in turn, with the other VM's guest using them too, and logs now and then.
fn echo_and_log(vm: &Vm, vcpu: &mut Vcpu, memory: &Memory, offset: u64) -> Result<()> {
    let slot = Slot::of(memory);
    let range = BASE + offset..slot.range().end;
    let echo = guest::pass(Program::Echo, &range, 64 * PAGE_4K, Pattern::Same, 0);
    vm.during(&mut [(vcpu, echo)], || {
        repeat(1500, 8, |token| {
            vm.set(&slot, if token % 8 < 4 { LOG } else { 0 })?;
            let place = u64::from(token) * PAGE_2M % memory.size();
            memory.discard(place..place + PAGE_2M)?;
            // The other VM's host may take the page away again before the guest has seen it.
            wait_for("the guest sees the new page", || {
                memory.store(place + offset, token);
                Ok(memory.load(place + offset + 4) == token)
            })
        })?;
        vm.set(&slot, 0)
    })
    .map(drop)
}

fn own_logs(mut guests: [(&Vm, &mut Vcpu); 2], memory: &Memory) -> Result<()> {
    let slot = Slot::of(memory);
    for (vm, vcpu) in &mut guests {
        vcpu.fill(&slot.range(), 1)?;
        vm.set(&slot, LOG)?;
    }
    let dirty = |vm: &Vm| -> Result<u32> {
        Ok(vm
            .get_log(&slot)?
            .iter()
            .map(|word| word.count_ones())
            .sum())
    };
    for writer in [0, 1, 0] {
        guests[writer].1.fill(&(BASE..BASE + MIB), 2)?;
        ensure!(
            dirty(guests[1 - writer].0)? == 0,
            "a VM's log has what another VM wrote"
        );
        ensure!(
            dirty(guests[writer].0)? == 256,
            "a VM's log lacks what it wrote"
        );
    }
    Ok(())
}

/// The module cannot go while a VM is on it, and does not mind those that are not.
fn holds_module(chosen: &str) -> Result<()> {
    let _choice = backend::choose_for_now(chosen)?;
    let before = module::references(module::NAME)?;
    let memory = Memory::new(MIB, Backing::Small)?;
    let range = Slot::of(&memory).range();
    let _on_c = Vm::with(C, &memory)?;
    ensure!(
        module::references(module::NAME)? == before,
        "a VM on C holds the module"
    );
    let (vm, mut vcpu) = Vm::with(RUST, &memory)?;
    vcpu.fill(&range, 1)?;
    ensure!(
        module::references(module::NAME)? > before,
        "a VM on Rust does not hold the module"
    );
    let error = module::unload(module::NAME)
        .err()
        .map(|error| error.raw_os_error());
    ensure!(
        error == Some(Some(libc::EWOULDBLOCK)),
        "unloading the module under a VM gives {error:?}"
    );
    vcpu.check(&range, 1)?;
    drop((vm, vcpu));
    wait_for("the VM lets the module go", || {
        Ok(module::references(module::NAME)? == before)
    })
}

/// The pages that a VM had are not counted any more when it is gone, in whatever state it was.
fn nothing_left(backend: &str) -> Result<()> {
    let memory = Memory::new(32 * MIB, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let _split = eager_split(true)?;
    let before = held()?;
    for state in 0..4 {
        let (vm, mut vcpu) = Vm::with(backend, &memory)?;
        vcpu.fill(&slot.range(), 1)?;
        if state == 1 {
            vm.set(&slot, LOG)?;
        } else if state == 2 {
            memory.discard(MIB..3 * MIB)?;
        } else if state == 3 {
            vm.delete_slots_by_range()?;
            vm.delete(&slot)?;
        }
        ensure!(held()? != before, "the VM's pages are not counted");
        drop(vcpu);
        drop(vm);
        wait_for("everything is given back", || Ok(held()? == before))?;
    }
    Ok(())
}

fn other(backend: &str) -> &'static str {
    if backend == C {
        RUST
    } else {
        C
    }
}
