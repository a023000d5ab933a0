// SPDX-License-Identifier: GPL-2.0

//! How much of the map and of the check of page tables is done at once, and what happens in between.

mod common;

use common::{frame, guest_with};
use kvmrs_model::{
    kvm::{spte::FROZEN, Level, Vcpu, Vm},
    machine::npt,
    tdp_mmu::inside::{Progress, Reader, Text},
    world::{cpu::Access, kvm, plant},
};
use std::sync::Arc;

/// A frame at the begin of a huge page of the host.
const HUGE: u64 = 256;

/// A VM with that frame mapped by a small page.
fn small() -> (Arc<Vm>, Vcpu) {
    let (vm, vcpu) = guest_with(npt(), Level::PG_4K);
    kvm::guest_access(&vcpu, frame(HUGE), Access::Write, |_| ());
    (vm, vcpu)
}

/// What a reader writes to one buffer of `size` bytes after the other. Before each it calls `before`, with
/// how many there were.
fn parts(vm: &Vm, mut reader: Reader, size: usize, mut before: impl FnMut(usize)) -> Vec<String> {
    let mut parts = Vec::new();
    loop {
        before(parts.len());
        let mut bytes = vec![0; size];
        let mut text = Text::new(&mut bytes);
        let progress = reader.read(vm, &mut text);
        let len = text.len();
        bytes.truncate(len);
        parts.push(String::from_utf8(bytes).expect("ASCII"));
        if progress == Progress::Done {
            return parts;
        }
    }
}

/// More than the check remembers: 16. A step pauses when what the next entry may add, which is 5, would be too
/// much, and not before.
#[test]
fn each_of_many_defects() {
    let (vm, vcpu) = small();
    let root = vcpu.root().expect("a root");
    for index in 1..=20 {
        plant::entry(&vm, &root, frame(HUGE + index), Level::PG_4K, |_| FROZEN);
    }
    let found = parts(&vm, Reader::check(), 4096, |_| ());
    let lines: Vec<_> = found.iter().flat_map(|part| part.lines()).collect();
    let frozen = lines.iter().filter(|line| line.starts_with("frozen: "));
    assert_eq!((lines.len(), frozen.count()), (20, 20), "{lines:#?}");
    let at_once = found.iter().map(|part| part.lines().count());
    let at_once: Vec<_> = at_once.filter(|lines| *lines > 0).collect();
    assert_eq!(at_once, [12, 8]);
    // What is broken cannot be taken apart.
    std::mem::forget(vcpu);
}

/// A reader comes back for the next ones: for two thousand, not two thousand times.
#[test]
fn a_step_looks_at_many_entries() {
    let (vm, vcpu) = small();
    for reader in [Reader::map(), Reader::check()] {
        assert!(parts(&vm, reader, 512, |_| ()).len() <= 4);
    }
    kvm::destroy(&vm, vec![vcpu]);
}

/// Figures that are off by the same, but change, are those of a VM that is busy.
#[test]
fn figures_that_change() {
    let (vm, vcpu) = small();
    vm.count_pages(Level::PG_4K, 1);
    let mut changes = 0;
    let lines = parts(&vm, Reader::check(), 512, |part| {
        let change = i32::from(part > 0);
        vm.count_pages(Level::PG_2M, change);
        changes += change;
    });
    let lines = lines.concat();
    assert_eq!(lines, "busy: the figures change all the time\n");
    vm.count_pages(Level::PG_4K, -1);
    vm.count_pages(Level::PG_2M, -changes);
    kvm::destroy(&vm, vec![vcpu]);
}

/// What is wrong in one pass alone is not reported. The first has nothing to be compared with.
#[test]
fn figures_that_are_right_in_the_end() {
    let (vm, vcpu) = small();
    let pass = parts(&vm, Reader::check(), 512, |_| ()).len() - 1;
    vm.count_pages(Level::PG_4K, 1);
    let lines = parts(&vm, Reader::check(), 512, |part| {
        if part == 2 * pass {
            vm.count_pages(Level::PG_4K, -1);
        }
    });
    assert_eq!(lines.concat(), "");
    kvm::destroy(&vm, vec![vcpu]);
}

#[test]
fn a_map_that_is_longer_than_the_buffer_is_whole() {
    let (vm, vcpu) = small();
    for index in (0..80).step_by(2) {
        kvm::guest_access(&vcpu, frame(HUGE + index), Access::Write, |_| ());
    }
    let read = |size| parts(&vm, Reader::map(), size, |_| ()).concat();
    let whole = read(1 << 16);
    assert!(whole.lines().count() > 80, "{whole}");
    for size in [512, 600, 1024] {
        assert_eq!(read(size), whole, "in parts of {size} bytes");
    }
    kvm::destroy(&vm, vec![vcpu]);
}
