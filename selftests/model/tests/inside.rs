// SPDX-License-Identifier: GPL-2.0

//! The map and the check of page tables: what they show, and that each rule fires.

mod common;

use common::{frame, memory, slots, vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{
        memory::Setup,
        spte::{masks, FROZEN, NONPRESENT, READABLE, WRITABLE},
        types::Pfn,
        Gfn, GfnRange, Level, ShadowPage, Spte, Vcpu, Vm,
    },
    machine::{ept, formats, npt, Machine, Masks},
    tdp_mmu::inside::{Progress, Reader, Text},
    world::{cpu::Access, kvm, plant, view},
};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A frame at the begin of a huge page of the host.
const HUGE: u64 = 256;

/// A VM on `masks` with a frame mapped by a leaf of `level`, and logging if `logged`.
fn mapped(masks: Masks, level: Level, logged: bool, cpu_dirty_log: bool) -> (Arc<Vm>, Vcpu) {
    let options = Options {
        cpu_dirty_log,
        ..Options::default()
    };
    let vm = vm_with(masks, memory(), level, options);
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(HUGE), Access::Write, |_| ());
    if logged {
        kvm::start_dirty_log(&vm, &vm.slots()[0], kvm::Split::Eagerly);
    }
    (vm, vcpu)
}

fn check(vm: &Vm) -> Vec<String> {
    view::lines(vm, Reader::check())
}

/// Plants a defect in a sound VM, and expects the check to find it and nothing else.
fn fires(vm: (Arc<Vm>, Vcpu), wanted: &str, plant: impl FnOnce(&Vm, &ShadowPage)) {
    let (vm, vcpu) = vm;
    assert_eq!(check(&vm), [""; 0], "before anything was planted");
    plant(&vm, &vcpu.root().expect("a root"));
    let found = check(&vm);
    let only = found.len() == 1 && found[0].starts_with(&format!("{wanted}: "));
    assert!(only, "{found:#?} instead of '{wanted}'");
    // What is broken cannot be taken apart.
    std::mem::forget(vcpu);
}

fn small() -> (Arc<Vm>, Vcpu) {
    mapped(npt(), Level::PG_4K, false, false)
}

fn huge() -> (Arc<Vm>, Vcpu) {
    mapped(npt(), Level::PG_2M, false, false)
}

#[test]
fn a_header_with_another_level() {
    fires(small(), "header has another level", |vm, root| {
        plant::role(vm, root, frame(HUGE), Level::PG_4K, |role| {
            role.with_level(Level::PG_2M)
        });
    });
}

#[test]
fn a_header_with_another_gfn() {
    fires(small(), "header has another gfn", |vm, root| {
        let lie = frame(HUGE).add(512);
        plant::gfn(vm, root, frame(HUGE), Level::PG_4K, lie);
    });
}

#[test]
fn a_header_with_another_parent() {
    fires(small(), "header has another parent", |vm, root| {
        let lie = frame(HUGE).add(512);
        plant::parent(vm, root, frame(HUGE), Level::PG_4K, lie);
    });
}

#[test]
fn a_header_with_another_role() {
    fires(small(), "header has another role", |vm, root| {
        plant::role(vm, root, frame(HUGE), Level::PG_2M, |role| role.smm());
    });
}

#[test]
fn a_frozen_entry() {
    fires(small(), "frozen", |vm, root| {
        let absent = frame(HUGE + 7);
        plant::entry(vm, root, absent, Level::PG_4K, |_| FROZEN);
    });
}

#[test]
fn reserved_bits() {
    let bits: [fn(u64) -> u64; 2] = [
        |raw| raw | masks::reserved_addr() & masks::reserved_addr().wrapping_neg(),
        |raw| raw & !READABLE | WRITABLE,
    ];
    for bits in bits {
        fires(small(), "reserved bits", |vm, root| {
            plant::entry(vm, root, frame(HUGE), Level::PG_4K, |old| {
                Spte::new(bits(old.raw()))
            });
        });
    }
}

#[test]
fn an_unaligned_huge_page() {
    fires(huge(), "unaligned page", |vm, root| {
        plant::entry(vm, root, frame(HUGE), Level::PG_2M, |old| old.with(1 << 13));
    });
}

/// Moves the leaf of the huge page.
fn move_leaf(vm: &Vm, root: &ShadowPage, to: Gfn) {
    let leaf = plant::entry(vm, root, frame(HUGE), Level::PG_2M, |_| NONPRESENT);
    plant::entry(vm, root, to, Level::PG_2M, |_| leaf);
}

#[test]
fn a_leaf_in_no_slot() {
    fires(huge(), "in no slot", |vm, root| {
        move_leaf(vm, root, memory().start.round_down(Level::PG_2M));
    });
}

/// The memory ends in the middle of a huge page.
#[test]
fn a_leaf_beyond_its_slot() {
    let (vm, vcpu) = huge();
    let last = memory().end.prev().round_down(Level::PG_2M);
    // So that there is a table for the last page.
    kvm::guest_access(&vcpu, last.prev(), Access::Write, |_| ());
    fires((vm, vcpu), "beyond its slot", |vm, root| {
        move_leaf(vm, root, last);
    });
}

/// Guest and host addresses are aligned to each other by 4K only, but the model's KVM does not
/// look, and maps a huge page.
#[test]
fn a_leaf_larger_than_its_slot_allows() {
    Machine::new(npt()).enter();
    let [first, second] = slots(memory()).try_into().ok().expect("two slots");
    let vm = Vm::new(Setup {
        slots: vec![first.aligned_to(Level::PG_4K), second],
        nx_huge_pages: false,
        cpu_dirty_log: false,
    });
    vm.primary.populate(frame(HUGE), Level::PG_2M);
    let vcpu = vcpu(&vm);
    kvm::guest_access(&vcpu, frame(HUGE), Access::Write, |_| ());
    let found = check(&vm);
    assert!(
        found.len() == 1 && found[0].starts_with("larger than its slot allows: "),
        "{found:#?}"
    );
    kvm::destroy(&vm, vec![vcpu]);
}

/// A leaf outlives the invalidation of its page: the host has freed it, or has another one there.
#[test]
fn a_page_that_the_host_has_taken_away() {
    for (vm, level) in [(small(), Level::PG_4K), (huge(), Level::PG_2M)] {
        fires(vm, "not what the host maps", |vm, _| {
            assert!(!vm.primary.free_all().is_empty());
        });
        let vm = mapped(npt(), level, false, false);
        fires(vm, "not what the host maps", |vm, _| {
            let page = GfnRange::sized(frame(HUGE).round_down(level), level.pages());
            plant::unheard(vm, page, |host| host.populate(page.start, level));
        });
    }
}

/// The small pages have the same frames, but the host may take each of them away by itself.
#[test]
fn a_huge_page_that_the_host_has_split() {
    fires(huge(), "not what the host maps", |vm, _| {
        let page = GfnRange::sized(frame(HUGE), Level::PG_2M.pages());
        plant::unheard(vm, page, |host| host.split(page.start));
    });
}

/// Where the host has joined small pages, small leaves may stay.
#[test]
fn a_small_leaf_of_a_huge_page_is_sound() {
    let (vm, vcpu) = mapped(npt(), Level::PG_2M, true, false);
    assert_eq!(vm.primary.level(frame(HUGE)), Some(Level::PG_2M));
    assert_eq!(check(&vm), [""; 0]);
    kvm::destroy(&vm, vec![vcpu]);
}

/// The frame is private: what the host maps is not for it, and the guest_memfd has no page, or another.
#[test]
fn a_page_that_is_not_of_the_guest_memfd() {
    for other in [None, Some(Pfn::new(7))] {
        fires(small(), "not what the host maps", |vm, _| {
            plant::private(vm, frame(HUGE), |_| other);
        });
    }
}

/// It maps the guest_memfd's page, whatever the host maps.
#[test]
fn a_page_of_the_guest_memfd_is_sound() {
    let (vm, vcpu) = small();
    plant::private(&vm, frame(HUGE), Some);
    assert!(!vm.primary.free_all().is_empty());
    assert_eq!(check(&vm), [""; 0]);
    std::mem::forget(vcpu);
}

#[test]
fn a_writable_page_that_is_clean_in_the_log() {
    let trees = [
        mapped(npt(), Level::PG_4K, true, false),
        mapped(ept(), Level::PG_2M, true, false),
    ];
    for vm in trees {
        fires(vm, "writable and clean in the log", |vm, root| {
            plant::entry(vm, root, frame(HUGE), Level::PG_4K, |old| {
                old.with(WRITABLE)
            });
        });
    }
}

#[test]
fn a_dirty_page_that_is_clean_in_the_log() {
    let vm = mapped(ept(), Level::PG_4K, true, true);
    fires(vm, "dirty and clean in the log", |vm, root| {
        plant::entry(vm, root, frame(HUGE), Level::PG_4K, |old| {
            old.with(masks::dirty())
        });
    });
}

/// A write to it is a fault, which logs it.
#[test]
fn a_dirty_page_that_is_write_protected_is_sound() {
    let (vm, vcpu) = mapped(ept(), Level::PG_4K, true, true);
    let root = vcpu.root().expect("a root");
    plant::entry(&vm, &root, frame(HUGE), Level::PG_4K, |old| {
        old.with(masks::dirty()).without(WRITABLE)
    });
    assert_eq!(check(&vm), [""; 0]);
}

#[test]
fn figures_that_are_not_those_of_the_tables() {
    for (level, figure) in [(Level::PG_4K, "pages_4k"), (Level::PG_2M, "pages_2m")] {
        fires(small(), figure, |vm, _| vm.count_pages(level, 1));
        fires(small(), figure, |vm, _| vm.count_pages(level, -1));
    }
    fires(small(), "pages_1g", |vm, _| vm.count_pages(Level::PG_1G, 1));
    fires(small(), "tables", |vm, root| {
        // A table that was cut off, and its page, of which only the page was accounted.
        plant::entry(vm, root, frame(HUGE), Level::PG_2M, |_| NONPRESENT);
        vm.count_pages(Level::PG_4K, -1);
    });
}

/// A task that is interrupted between an entry and the figures holds `mmu_lock`.
#[test]
fn figures_of_a_change_under_way() {
    let (vm, vcpu) = small();
    let changing = vm.mmu_write();
    vm.count_pages(Level::PG_4K, 1);
    let machine = Machine::current();
    let lines = thread::scope(|scope| {
        let checked = scope.spawn(|| {
            machine.enter();
            check(&vm)
        });
        thread::sleep(Duration::from_millis(100));
        vm.count_pages(Level::PG_4K, -1);
        drop(changing);
        checked.join().expect("the check does not panic")
    });
    assert_eq!(lines, [""; 0]);
    kvm::destroy(&vm, vec![vcpu]);
}

/// The lines of the map behind that of the root, which must be the only one.
fn map(vm: &Vm) -> Vec<String> {
    let mut lines = view::lines(vm, Reader::map());
    assert!(lines[0].starts_with("root role="), "{lines:?}");
    lines.remove(0);
    lines
}

/// What the map shows of leaves: in every format the guest may do everything with a page that it
/// wrote. Of an entry without a dirty bit of the CPU's, the map says what KVM remembers.
#[test]
fn the_map_joins_what_maps_alike() {
    for (name, masks) in formats() {
        let dirty = if masks.dirty == 0 { '-' } else { 'D' };
        let (vm, vcpu) = mapped(masks, Level::PG_4K, false, false);
        for index in [1, 2, 512] {
            kvm::guest_access(&vcpu, frame(HUGE + index), Access::Write, |_| ());
        }
        assert_eq!(
            map(&vm),
            [
                "  0x0-0x3fbff absent".to_string(),
                format!("  0x3fc00-0x3fc02 4K 3 RWXA{dirty}MH"),
                "  0x3fc03-0x3fdff absent".to_string(),
                format!("  0x3fe00-0x3fe00 4K 1 RWXA{dirty}MH"),
                "  0x3fe01-0xfffffffff absent".to_string(),
            ],
            "{name}"
        );
        kvm::destroy(&vm, vec![vcpu]);
    }
}

#[test]
fn the_map_shows_what_is_no_leaf() {
    let (vm, vcpu) = huge();
    let outside = memory().end.add(512);
    kvm::fault(&vcpu, outside, Access::Read);
    let root = vcpu.root().expect("a root");
    let frozen = memory().start.round_down(Level::PG_2M);
    plant::entry(&vm, &root, frozen, Level::PG_2M, |_| FROZEN);
    let kinds: Vec<_> = map(&vm)
        .iter()
        .map(|line| line.split_once(' ').map(|_| line.trim().to_string()))
        .map(|line| {
            line.expect("words")
                .split(' ')
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let wanted = [
        "absent",
        "2M 1 frozen",
        "2M 1 RWXADMH",
        "absent",
        "4K 1 mmio",
        "absent",
    ];
    assert_eq!(kinds, wanted);
    plant::entry(&vm, &root, frozen, Level::PG_2M, |_| NONPRESENT);
    kvm::destroy(&vm, vec![vcpu]);
}

/// A root that is gone when its reader comes back is left, one that is new is not waited for, and
/// the file ends.
#[test]
fn roots_come_and_go_under_a_reader() {
    let (vm, first) = huge();
    for mut reader in [Reader::map(), Reader::check()] {
        let (other, mut bytes) = (Vcpu::new(&vm, kvm::role().smm()), [0; 512]);
        kvm::load_root(&other);
        assert_eq!(reader.read(&vm, &mut Text::new(&mut bytes)), Progress::More);
        kvm::unload_root(&other);
        kvm::zap_all_fast(&vm);
        drop(other);
        let rest = view::lines(&vm, reader);
        let wrong = rest.iter().any(|line| line.contains("header"));
        assert!(!wrong, "{rest:?}");
        kvm::load_root(&first);
    }
    kvm::destroy(&vm, vec![first]);
}
