// SPDX-License-Identifier: GPL-2.0

//! Dirty logging that is switched on while the guest runs.

mod common;

use common::{frame, memory, vcpu, vm, vm_with, Options};
use kvmrs_model::{
    kvm::{Level, Outcome, Vcpu},
    machine::{formats, npt},
    tdp_mmu,
    world::{cpu::Access, kvm},
};

/// Logging by the CPU begins in two walks: one makes pages clean, one makes huge pages read-only.
/// If huge pages are not split before (`eager_page_split=N`, or there is no memory for it), a write
/// in between makes one dirty again, and a fault splits it. A small page that were dirty for that
/// would never be logged.
#[test]
fn a_page_split_while_logging_starts_is_clean() {
    let options = Options {
        nx_huge_pages: true,
        cpu_dirty_log: true,
        ..Options::default()
    };
    let vm = vm_with(npt(), memory(), Level::PG_2M, options);
    let (guest, other) = (vcpu(&vm), vcpu(&vm));
    let slot = &vm.slots()[0];
    kvm::guest_access(&guest, frame(256), Access::Write, |_| ());

    slot.set_dirty_tracked(true);
    tdp_mmu::dirty::clear_dirty_slot(&mut vm.mmu_read(), slot);
    kvm::guest_access(&other, frame(256), Access::Write, |_| ());
    kvm::guest_access(&guest, frame(300), Access::Fetch, |_| ());
    tdp_mmu::dirty::write_protect_slot(&mut vm.mmu_read(), slot, Level::PG_2M);
    vm.flush_remote_tlbs();
    kvm::harvest(&vm, slot);

    kvm::guest_access(&guest, frame(257), Access::Write, |_| ());
    let dirty = kvm::harvest(&vm, slot);
    assert!(dirty.contains(&frame(257)), "the write is not in the log");
    kvm::destroy(&vm, vec![guest, other]);
}

/// C flushes TLBs only if it is told that something was write-protected, in whichever root.
#[test]
fn write_protection_is_reported_of_any_number_of_roots() {
    for roots in 0..4 {
        let vm = vm(npt());
        let first = vcpu(&vm);
        let role = first.root_role();
        let roles = [role, role.guest_mode(), role.without_ad()];
        let others: Vec<_> = roles.map(|role| Vcpu::new(&vm, role)).into();
        for guest in &others[..roots] {
            kvm::guest_access(guest, frame(0), Access::Write, |_| ());
        }

        let slot = &vm.slots()[0];
        let protected = tdp_mmu::dirty::write_protect_slot(&mut vm.mmu_read(), slot, Level::PG_4K);
        assert_eq!(protected, roots > 0, "{roots} roots");
        let again = tdp_mmu::dirty::write_protect_slot(&mut vm.mmu_read(), slot, Level::PG_4K);
        assert!(!again, "{roots} roots");
        kvm::destroy(&vm, others.into_iter().chain([first]).collect());
    }
}

/// Only the guest's writes are logged: not what is mapped because it may come to need it. The log
/// may be a ring, and have no room for that.
#[test]
fn what_is_mapped_in_advance_is_logged_when_it_is_written() {
    for (name, format) in formats() {
        for cpu_dirty_log in [false, format.ad_enabled] {
            let options = Options {
                cpu_dirty_log,
                ..Options::default()
            };
            let vm = vm_with(format, memory(), Level::PG_4K, options);
            let (guest, slot) = (vcpu(&vm), &vm.slots()[0]);
            kvm::start_dirty_log(&vm, slot, kvm::Split::Eagerly);
            for index in 0..300 {
                let outcome = kvm::prefetch(&guest, frame(index));
                assert_eq!(outcome, Outcome::Fixed, "{name}");
            }
            assert!(slot.take_log().is_empty(), "{name}: nobody wrote");

            kvm::guest_access(&guest, frame(3), Access::Read, |_| ());
            assert!(kvm::harvest(&vm, slot).is_empty(), "{name}: nobody wrote");
            for index in [3, 4] {
                let gfn = frame(index);
                assert!(kvm::fast_page_fault(&guest, gfn, Access::Write), "{name}");
                kvm::guest_access(&guest, gfn, Access::Write, |_| ());
                assert!(kvm::harvest(&vm, slot).contains(&gfn), "{name}");
            }
            kvm::destroy(&vm, vec![guest]);
        }
    }
}
