// SPDX-License-Identifier: GPL-2.0

//! Entries as values: how they are made for faults.

mod common;

use common::{
    leaf::{leaf_for, request, vcpu_with},
    Options,
};
use kvmrs_model::{
    kvm::{
        fault::FIRST_DEVICE_FRAME,
        fault::{error, Request},
        spte::{self, masks},
        Access, Level, PageFault, Raced,
    },
    machine::{formats, npt},
    tdp_mmu::leaf,
    world::kvm,
};

const LEVELS: [Level; 3] = [Level::PG_4K, Level::PG_2M, Level::PG_1G];

#[test]
fn a_fault_makes_a_leaf_that_permits_it() {
    for (name, format) in formats() {
        for nx_huge_pages in [false, true] {
            let options = Options {
                nx_huge_pages,
                ..Options::default()
            };
            let vcpu = vcpu_with(format, options);
            for level in LEVELS {
                let request = request(&vcpu, level, 0x12_3400);
                let new = leaf_for(&vcpu, &request, kvm::role(), level, spte::NONPRESENT);
                let leaf = new.spte();
                let what = format!("{name}, level {level:?}, nx {nx_huge_pages}: {leaf:?}");

                assert!(!new.write_protected, "{what}");
                assert!(
                    leaf.is_leaf(level) && leaf.is_writable() && leaf.is_accessed(),
                    "{what}"
                );
                assert!(leaf.has(masks::dirty()) && leaf.is_mmu_writable(), "{what}");
                assert!(leaf.has(masks::host_writable()), "{what}");
                assert_eq!(leaf.pfn(), request.pfn, "{what}");
                assert_eq!(leaf.has(spte::PAGE_SIZE), level > Level::PG_4K, "{what}");
                assert_eq!(leaf.raw() & masks::me_value(), masks::me_value(), "{what}");
                assert_eq!(leaf.raw() & masks::present(), masks::present(), "{what}");
                assert_eq!(leaf.ad_enabled(), format.ad_enabled, "{what}");

                let fetch = Request {
                    error_code: error::USER | error::FETCH,
                    ..request.clone()
                };
                let fetch = PageFault::new(&vcpu, fetch);
                let executable = !nx_huge_pages || level == Level::PG_4K;
                assert_eq!(leaf::permits(&fetch, leaf), executable, "{what}");
                for code in [error::USER, error::USER | error::WRITE] {
                    let fault = Request {
                        error_code: code,
                        ..request.clone()
                    };
                    let fault = PageFault::new(&vcpu, fault);
                    assert!(leaf::permits(&fault, leaf), "{what}");
                }
            }
            assert!(!vcpu.vm().is_bugged(), "{name}: reserved bits are set");
        }
    }
}

#[test]
fn permissions_are_those_of_the_role_and_no_more() {
    for (name, format) in formats() {
        let vcpu = vcpu_with(format, Options::default());
        for granted in 0..16 {
            let granted = Access::new(granted).with(Access::READ);
            let role = kvm::role().with_access(granted);
            let request = request(&vcpu, Level::PG_4K, 0x1234);
            let leaf = leaf_for(&vcpu, &request, role, Level::PG_4K, spte::NONPRESENT).spte();
            assert_eq!(
                leaf.is_writable(),
                granted.grants(Access::WRITE),
                "{name} {granted:?}"
            );
            assert_eq!(
                leaf.is_mmu_writable(),
                granted.grants(Access::WRITE),
                "{name} {granted:?}"
            );
            for needs in [Access::READ, Access::WRITE, Access::EXEC] {
                let error_code = match needs {
                    Access::WRITE => error::WRITE,
                    Access::EXEC => error::FETCH,
                    _ => 0,
                };
                let fault = Request {
                    error_code,
                    ..request.clone()
                };
                let fault = PageFault::new(&vcpu, fault);
                assert_eq!(leaf::permits(&fault, leaf), granted.grants(needs), "{name}");
            }
        }
    }
}

#[test]
fn what_the_host_or_a_tracker_protects_is_not_writable() {
    for (name, format) in formats() {
        let vcpu = vcpu_with(format, Options::default());
        let request = request(&vcpu, Level::PG_4K, 0x1234);
        let read_only = Request {
            map_writable: false,
            ..request.clone()
        };
        let new = leaf_for(
            &vcpu,
            &read_only,
            kvm::role(),
            Level::PG_4K,
            spte::NONPRESENT,
        );
        let leaf = new.spte();
        assert!(
            !leaf.is_writable() && !leaf.is_mmu_writable(),
            "{name}: {leaf:?}"
        );
        assert!(
            !leaf.has(masks::host_writable()) && !new.write_protected,
            "{name}: {leaf:?}"
        );

        let writable = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, spte::NONPRESENT);
        vcpu.vm().set_write_tracked(request.gfn, true);
        let new = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, spte::NONPRESENT);
        let leaf = new.spte();
        assert!(
            !leaf.is_writable() && !leaf.is_mmu_writable(),
            "{name}: {leaf:?}"
        );
        assert!(
            leaf.has(masks::host_writable()) && new.write_protected,
            "{name}: {leaf:?}"
        );
        // The tracker was told when the old leaf became writable.
        let old = writable.spte();
        let again = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, old);
        assert!(
            again.spte().is_writable() && !again.write_protected,
            "{name}"
        );
        // It was not, of one that was protected, or of what maps nothing.
        for old in [leaf, spte::Spte::new(spte::WRITABLE)] {
            let again = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, old);
            assert!(
                !again.spte().is_writable() && again.write_protected,
                "{name}: over {old:?}"
            );
        }
    }
}

#[test]
fn a_prefetched_leaf_is_old() {
    for (name, format) in formats() {
        let vcpu = vcpu_with(format, Options::default());
        let request = Request {
            prefetch: true,
            ..request(&vcpu, Level::PG_4K, 0x1234)
        };
        let leaf = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, spte::NONPRESENT).spte();
        assert!(
            leaf.is_leaf(Level::PG_4K) && !leaf.is_accessed(),
            "{name}: {leaf:?}"
        );
        assert_eq!(
            leaf.is_access_tracked(),
            !format.ad_enabled,
            "{name}: {leaf:?}"
        );
    }
}

#[test]
fn a_writable_leaf_of_a_logged_slot_is_in_the_log() {
    for (name, format) in formats() {
        let vcpu = vcpu_with(format, Options::default());
        let request = request(&vcpu, Level::PG_4K, 0x1234);
        let slot = request.slot.expect("a slot");
        slot.set_dirty_tracked(true);
        let read_only = Request {
            map_writable: false,
            ..request.clone()
        };
        let leaf = |request| leaf_for(&vcpu, request, kvm::role(), Level::PG_4K, spte::NONPRESENT);
        let installed = |_| Ok::<(), Raced>(());
        leaf(&read_only).install(installed).expect("installed");
        assert!(slot.take_log().is_empty(), "{name}");

        let seen_before = |_| {
            let logged = slot.take_log().contains(&request.gfn);
            logged.then_some(()).ok_or(Raced)
        };
        let before = leaf(&request).install(seen_before);
        before.expect("another vCPU may write before the fault goes on");
        let after = slot.take_log().contains(&request.gfn);
        assert!(after, "{name}: the first note was taken");
    }
}

#[test]
fn only_frames_of_the_slot_are_logged() {
    let vcpu = vcpu_with(npt(), Options::default());
    let slot = &vcpu.vm().slots()[0];
    slot.set_dirty_tracked(true);
    let (end, writable) = (slot.range().end, spte::Spte::new(spte::WRITABLE));
    let logged = vcpu.log_write(slot, end, writable, || Ok::<_, Raced>(()));
    assert!(logged.is_ok() && vcpu.vm().is_bugged());
    assert!(slot.take_log().is_empty());
}

#[test]
fn device_memory_is_not_encrypted_and_not_cached() {
    for (name, format) in formats() {
        let vcpu = vcpu_with(format, Options::default());
        let memory = request(&vcpu, Level::PG_4K, 0x1234);
        let device = request(&vcpu, Level::PG_4K, FIRST_DEVICE_FRAME);
        let leaf =
            |request| leaf_for(&vcpu, request, kvm::role(), Level::PG_4K, spte::NONPRESENT).spte();
        let (memory, device) = (leaf(&memory), leaf(&device));
        assert!(!device.has(masks::me_value()), "{name}: {device:?}");
        if format.nx == 0 {
            assert_eq!(
                memory.raw() >> 3 & 7,
                6,
                "{name}: {memory:?} is not write-back"
            );
            assert_eq!(
                device.raw() >> 3 & 7,
                0,
                "{name}: {device:?} is not uncached"
            );
        }
    }
}

#[test]
fn nested_guests_are_tracked_by_write_protection_under_pml() {
    for (name, format) in formats() {
        let options = Options {
            cpu_dirty_log: format.ad_enabled,
            ..Options::default()
        };
        let vcpu = vcpu_with(format, options);
        let nested = kvm::role().guest_mode();
        let request = request(&vcpu, Level::PG_4K, 0x1234);
        let leaf = leaf_for(&vcpu, &request, nested, Level::PG_4K, spte::NONPRESENT).spte();
        assert!(leaf::needs_write_protection(vcpu.vm(), nested), "{name}");
        let plain = leaf::needs_write_protection(vcpu.vm(), kvm::role());
        assert_eq!(plain, !format.ad_enabled, "{name}");
        assert_eq!(leaf.ad_enabled(), format.ad_enabled, "{name}: {leaf:?}");
        if format.ad_enabled {
            assert_eq!(
                leaf.raw() & spte::AD_MASK,
                spte::AD_WRPROT_ONLY,
                "{name}: {leaf:?}"
            );
        }
    }
}
