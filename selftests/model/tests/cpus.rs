// SPDX-License-Identifier: GPL-2.0

//! What CPUs keep, and for how long: translations, the ways to tables, roots, their own dirty log.

mod common;

use common::{frame, memory, tree, vcpu, vm_with, wide_vcpu, Options};
use kvmrs_model::{
    kvm::{memory::Setup, types::Pfn, Gfn, GfnRange, Level, Vcpu, Vm},
    machine::{ept, formats, npt, Machine, Masks},
    world::{cpu::Access, kvm, pml, variants::Variant, view},
};
use std::sync::Arc;

/// A VM in small pages, with a CPU that has used a frame.
fn used(frame: Gfn) -> (Arc<Vm>, Vcpu) {
    let vm = vm_with(npt(), memory(), Level::PG_4K, Options::default());
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame, Access::Write, |_| ());
    (vm, vcpu)
}

/// The frame is in the same table of the CPU's cache as the one that was used: that of 2M entries,
/// or one further up.
fn walks_a_freed_table(elsewhere: Gfn) {
    let (vm, vcpu) = used(frame(0));
    vm.variants.choose(Variant::RootRequestForgotten);
    kvm::zap_all_fast(&vm);
    kvm::guest_access(&vcpu, elsewhere, Access::Read, |_| ());
}

#[test]
#[should_panic(expected = "late use: the header was freed")]
fn a_cpu_keeps_the_way_to_a_table_of_small_pages() {
    walks_a_freed_table(frame(1));
}

#[test]
#[should_panic(expected = "late use: the header was freed")]
fn a_cpu_keeps_the_way_to_a_table_of_2m_entries() {
    walks_a_freed_table(frame(256));
}

#[test]
#[should_panic(expected = "late use: the header was freed")]
fn a_cpu_keeps_the_way_to_a_table_of_1g_entries() {
    assert_ne!(frame(0).raw() >> 18, frame(256 + 1024).raw() >> 18);
    walks_a_freed_table(frame(256 + 1024));
}

/// A flush of a range leaves what leads elsewhere, so it has to be of all that the table spanned.
#[test]
fn a_table_in_whose_place_a_huge_page_comes_is_flushed_whole() {
    for (name, format) in formats() {
        let vm = vm_with(format, memory(), Level::PG_2M, Options::default());
        let (vcpu, slot) = (vcpu(&vm), &vm.slots()[0]);
        slot.set_dirty_tracked(true);
        kvm::guest_access(&vcpu, frame(256), Access::Write, |_| ());
        slot.set_dirty_tracked(false);
        assert_eq!(vm.stats.pages[0].get(), 1, "{name}");

        kvm::guest_access(&vcpu, frame(300), Access::Write, |_| ());
        assert_eq!(vm.stats.pages[1].get(), 1, "{name}");
        let gfn = frame(257);
        let pfn = kvm::guest_access(&vcpu, gfn, Access::Read, |_| ()).expect("memory");
        assert!(vm.primary.holds(gfn, Pfn::new(pfn)), "{name}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// A vCPU goes on with its root until it is asked to leave the guest. A notifier that comes before
/// that does not flush for a root that is invalid.
#[test]
#[should_panic(expected = "stale translation")]
fn a_cpu_goes_on_with_an_invalid_root_until_it_is_asked() {
    let (vm, vcpu) = used(frame(0));
    vm.variants.choose(Variant::RootRequestLate);
    let (host, vcpu) = (vm.clone(), Arc::new(vcpu));
    let page = GfnRange::one(frame(0));
    vm.breaks.set_hook(move || {
        kvm::invalidate(&host, page, || {
            host.primary.populate(page.start, Level::PG_4K)
        });
        kvm::guest_access(&vcpu, page.start, Access::Read, |pfn| {
            let held = host.primary.holds(page.start, Pfn::new(pfn));
            assert!(held, "stale translation: {pfn:#x}");
        });
    });
    kvm::zap_all_fast(&vm);
}

fn logged(format: Masks) -> (Arc<Vm>, Vcpu) {
    let options = Options {
        cpu_dirty_log: true,
        ..Options::default()
    };
    let vm = vm_with(format, memory(), Level::PG_4K, options);
    let vcpu = vcpu(&vm);
    kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::Eagerly);
    (vm, vcpu)
}

/// Writes more frames, through entries that were made clean, than the CPU's log has room for.
fn fill_the_log(vm: &Vm, vcpu: &Vcpu) {
    let pages = 3 * pml::ENTRIES as u64 + 1;
    let write_all = || {
        for page in 0..pages {
            kvm::guest_access(vcpu, frame(page), Access::Write, |_| ());
        }
    };
    let slot = &vm.slots()[0];
    write_all();
    kvm::harvest(vm, slot);
    let changes = vm.stats.changes.get();
    write_all();
    assert_eq!(vm.stats.changes.get(), changes, "writes do not fault");
    let dirty = kvm::harvest(vm, slot);
    assert_eq!(
        dirty.len() as u64,
        pages,
        "writes are not in the log: {dirty:?}"
    );
}

#[test]
fn a_cpus_log_that_is_full_is_emptied() {
    for format in [npt(), ept()] {
        let (vm, vcpu) = logged(format);
        fill_the_log(&vm, &vcpu);
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
#[should_panic(expected = "writes are not in the log")]
fn a_cpus_log_that_is_lost_is_missed() {
    let (vm, vcpu) = logged(ept());
    vm.variants.choose(Variant::PmlDropped);
    fill_the_log(&vm, &vcpu);
}

/// Memory at both sides of the boundary between two entries of a root of five levels.
#[test]
fn five_levels_translate_what_lies_around_a_boundary_of_their_root() {
    let memory = GfnRange::sized(Gfn::new((1 << 36) - 1024), 2048);
    for (name, format) in formats() {
        Machine::new(format).enter();
        let vm = Vm::new(Setup {
            slots: common::slots(memory),
            nx_huge_pages: false,
            cpu_dirty_log: false,
        });
        for page in 0..4 {
            let gfn = memory.start.add(page * 512);
            vm.primary.populate(gfn, Level::PG_2M);
        }
        let vcpu = wide_vcpu(&vm);
        let slot = &vm.slots()[0];
        let write = |page| {
            let gfn = memory.start.add(page);
            let pfn = kvm::guest_access(&vcpu, gfn, Access::Write, |_| ()).expect("memory");
            assert!(vm.primary.holds(gfn, Pfn::new(pfn)), "{name}: {gfn:?}");
        };
        let around = [0, 1023, 1024, 2047];
        around.into_iter().for_each(write);
        assert_eq!(tree(&vcpu).links.len(), 2 * 3, "{name}: a way on each side");

        kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
        kvm::harvest(&vm, slot);
        around.into_iter().for_each(write);
        let dirty = kvm::harvest(&vm, slot);
        assert_eq!(dirty.len(), around.len(), "{name}");
        kvm::stop_dirty_log(&vm, slot);
        assert_eq!(vm.stats.pages[1].get(), 4, "{name}");

        let middle = GfnRange::new(memory.start.add(512), memory.start.add(1536));
        kvm::invalidate(&vm, middle, || {
            for page in [512, 1024] {
                vm.primary.populate(memory.start.add(page), Level::PG_4K);
            }
        });
        around.into_iter().for_each(write);
        view::check(&vm);
        kvm::zap_all_fast(&vm);
        around.into_iter().for_each(write);
        kvm::destroy(&vm, vec![vcpu]);
    }
}
