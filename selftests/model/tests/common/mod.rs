// SPDX-License-Identifier: GPL-2.0

//! A small VM for tests.

#![allow(dead_code, missing_docs)] // Each test file uses a part of it.

// loom has no scoped threads.
#[cfg(not(feature = "loom"))]
pub mod crowd;
pub mod entry;
pub mod leaf;
pub mod ops;
pub mod xen;

use kvmrs_model::{
    kvm::{memory::Setup, AddressSpace, Gfn, GfnRange, Level, MemSlot, Vcpu, Vm},
    machine::{Machine, Masks},
    world::{kvm, view::Tree},
};
use proptest::{prelude::ProptestConfig, test_runner::FileFailurePersistence};
use std::{sync::Arc, time::Duration};

/// How property tests run: so many cases, unless `PROPTEST_CASES` says otherwise. A failure prints
/// its smallest input, and adds the way to it to a file, from which every later run starts.
pub fn config(cases: u32, regressions: &'static str) -> ProptestConfig {
    let file = FileFailurePersistence::Direct(regressions);
    let mut config = ProptestConfig {
        failure_persistence: Some(Box::new(file)),
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}

/// How long each test is to go on, if somebody has set that.
pub fn seconds() -> Option<Duration> {
    let seconds = std::env::var("MODEL_SECONDS").ok()?;
    let seconds = seconds.parse().expect("MODEL_SECONDS is a number");
    Some(Duration::from_secs(seconds))
}

/// The VM's memory: 2 MiB pages around a boundary of 1 GiB, and half a page at each end.
pub const FIRST: u64 = (1 << 18) - 2 * 512 - 256;
/// Number of its frames.
pub const PAGES: u64 = 4 * 512;

pub fn memory() -> GfnRange {
    GfnRange::sized(Gfn::new(FIRST), PAGES)
}

/// The frame at `index` of the VM's memory.
pub fn frame(index: u64) -> Gfn {
    Gfn::new(FIRST + index % PAGES)
}

pub fn slots(range: GfnRange) -> Vec<MemSlot> {
    vec![
        MemSlot::new(AddressSpace::NORMAL, range),
        MemSlot::new(AddressSpace::SMM, range),
    ]
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub nx_huge_pages: bool,
    pub cpu_dirty_log: bool,
    /// Whether some vCPUs' roots have five levels.
    pub five_levels: bool,
    /// Whether the dirty log is in rings.
    pub dirty_rings: bool,
}

/// Boots a machine and makes a VM with `range` of memory, in host pages of `level`.
pub fn vm_with(masks: Masks, range: GfnRange, level: Level, options: Options) -> Arc<Vm> {
    Machine::new(masks).enter();
    let vm = Vm::new(Setup {
        slots: slots(range),
        nx_huge_pages: options.nx_huge_pages,
        cpu_dirty_log: options.cpu_dirty_log,
    });
    // Makes the record. If a task did it, others that look at it would race with that in loom.
    assert_eq!(vm.recorded_invalidations(), 0);
    if options.dirty_rings {
        vm.use_dirty_rings();
    }
    let mut gfn = range.start;
    while gfn < range.end {
        if vm.primary.page(gfn).is_none() {
            vm.primary.populate(gfn, level);
        }
        gfn = gfn.round_down(level).add(level.pages());
    }
    vm
}

/// As above, with the usual memory in huge pages.
pub fn vm(masks: Masks) -> Arc<Vm> {
    vm_with(masks, memory(), Level::PG_2M, Options::default())
}

/// A VM with the usual memory in host pages of `level`, and a vCPU.
pub fn guest_with(masks: Masks, level: Level) -> (Arc<Vm>, Vcpu) {
    let vm = vm_with(masks, memory(), level, Options::default());
    let vcpu = vcpu(&vm);
    (vm, vcpu)
}

/// What the vCPU's root maps.
pub fn tree(vcpu: &Vcpu) -> Tree {
    Tree::of(vcpu.vm(), &vcpu.root().expect("a root"))
}

/// A vCPU with its root loaded.
pub fn vcpu(vm: &Arc<Vm>) -> Vcpu {
    let vcpu = Vcpu::new(vm, kvm::role());
    kvm::load_root(&vcpu);
    vcpu
}

/// One with a root of five levels.
pub fn wide_vcpu(vm: &Arc<Vm>) -> Vcpu {
    let vcpu = Vcpu::new(vm, kvm::role_of_five_levels());
    kvm::load_root(&vcpu);
    vcpu
}

/// One in system management mode.
pub fn smm_vcpu(vm: &Arc<Vm>) -> Vcpu {
    let vcpu = Vcpu::new(vm, kvm::role().smm());
    kvm::load_root(&vcpu);
    vcpu
}
