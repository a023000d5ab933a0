// SPDX-License-Identifier: GPL-2.0

//! Entries as values: how they are made for faults, aged, split, merged and marked as MMIO.

mod common;

use common::{vcpu, vm, vm_with, Options};
use kvmrs_host::{
    kvm::{
        fault::{error, Request},
        masks, spte, Gfn, GfnRange, LeafSpte, Level, PageFault, Role, SlotsHeld, Spte, Vcpu,
    },
    kvm::{types::Pfn, vcpu::FIRST_DEVICE_FRAME},
    machine::{bits, formats, Machine},
    model::kvm,
    tdp_mmu::leaf::{self, access},
};
use proptest::prelude::*;

const LEVELS: [Level; 3] = [Level::PG_4K, Level::PG_2M, Level::PG_1G];

/// A request for the first frame of memory that has a page of each level.
fn request(vcpu: &Vcpu, level: Level, pfn: u64) -> Request<'_> {
    let gfn = Gfn::new(1 << 18);
    Request {
        gfn,
        pfn: Pfn::new(pfn & !(level.pages() - 1)),
        slot: vcpu.vm().slot(0, gfn),
        error_code: error::USER,
        prefetch: false,
        map_writable: true,
        max_level: level,
    }
}

fn vcpu_with(masks: kvmrs_host::machine::Masks, options: Options) -> Vcpu {
    let gib = GfnRange::sized(Gfn::new(1 << 18), 1 << 18);
    vcpu(&vm_with(masks, gib, Level::PG_1G, options))
}

/// What `for_fault()` makes at an absent entry of `level` in a tree with `role`.
fn leaf_for(
    vcpu: &Vcpu,
    request: &Request<'_>,
    role: Role,
    level: Level,
    old: Spte,
) -> leaf::NewLeaf {
    use kvmrs_host::{kvm::entry::Place, sync::rcu};
    let rcu = rcu::read_lock();
    let root = vcpu.root().expect("a root");
    let place = Place {
        cell: root.table(&rcu).cell(0),
        spte: old,
        gfn: request.gfn,
        level,
    };
    let mut fault = PageFault::new(vcpu, request.clone());
    fault.adjust_level(vcpu);
    leaf::for_fault(vcpu, &fault, request.slot.expect("a slot"), role, &place)
}

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
                let leaf = new.leaf.spte();
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
                assert_eq!(leaf::permits(&vcpu, &fetch, leaf), executable, "{what}");
                for code in [error::USER, error::USER | error::WRITE] {
                    let fault = Request {
                        error_code: code,
                        ..request.clone()
                    };
                    let fault = PageFault::new(&vcpu, fault);
                    assert!(leaf::permits(&vcpu, &fault, leaf), "{what}");
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
            let granted = granted | access::READ;
            let role = kvm::role().with_access(granted);
            let request = request(&vcpu, Level::PG_4K, 0x1234);
            let leaf = leaf_for(&vcpu, &request, role, Level::PG_4K, spte::NONPRESENT)
                .leaf
                .spte();
            assert_eq!(
                leaf.is_writable(),
                granted & access::WRITE != 0,
                "{name} {granted}"
            );
            assert_eq!(
                leaf.is_mmu_writable(),
                granted & access::WRITE != 0,
                "{name} {granted}"
            );
            for needs in [access::READ, access::WRITE, access::EXEC] {
                let error_code = match needs {
                    access::WRITE => error::WRITE,
                    access::EXEC => error::FETCH,
                    _ => 0,
                };
                let fault = Request {
                    error_code,
                    ..request.clone()
                };
                let fault = PageFault::new(&vcpu, fault);
                assert_eq!(
                    leaf::permits(&vcpu, &fault, leaf),
                    granted & needs != 0,
                    "{name}"
                );
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
        let leaf = new.leaf.spte();
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
        let leaf = new.leaf.spte();
        assert!(
            !leaf.is_writable() && !leaf.is_mmu_writable(),
            "{name}: {leaf:?}"
        );
        assert!(
            leaf.has(masks::host_writable()) && new.write_protected,
            "{name}: {leaf:?}"
        );
        // The tracker was told when the old leaf became writable.
        let old = writable.leaf.spte();
        let again = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, old);
        assert!(
            again.leaf.spte().is_writable() && !again.write_protected,
            "{name}"
        );
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
        let leaf = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, spte::NONPRESENT).leaf;
        let leaf = leaf.spte();
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
        let _ = leaf_for(
            &vcpu,
            &read_only,
            kvm::role(),
            Level::PG_4K,
            spte::NONPRESENT,
        );
        assert!(slot.take_log().is_empty(), "{name}");
        let _ = leaf_for(&vcpu, &request, kvm::role(), Level::PG_4K, spte::NONPRESENT);
        assert!(slot.take_log().contains(&request.gfn), "{name}");
    }
}

#[test]
fn device_memory_is_not_encrypted_and_not_cached() {
    for (name, format) in formats() {
        let vcpu = vcpu_with(format, Options::default());
        let memory = request(&vcpu, Level::PG_4K, 0x1234);
        let device = request(&vcpu, Level::PG_4K, FIRST_DEVICE_FRAME);
        let leaf = |request| {
            leaf_for(&vcpu, request, kvm::role(), Level::PG_4K, spte::NONPRESENT)
                .leaf
                .spte()
        };
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
        let leaf = leaf_for(&vcpu, &request, nested, Level::PG_4K, spte::NONPRESENT)
            .leaf
            .spte();
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

/// One of the leaves that faults make, with what hardware, aging and protection do to it.
fn any_leaf(vcpu: &Vcpu, level: Level, pfn: u64, choice: u32) -> Spte {
    // Only EPT can do without accessed and dirty bits.
    let role = if choice & 1 != 0 && masks::acc_track() != 0 {
        kvm::role().without_ad()
    } else {
        kvm::role()
    };
    let request = Request {
        map_writable: choice & 2 != 0,
        prefetch: choice & 4 != 0,
        ..request(vcpu, level, pfn)
    };
    let mut leaf = leaf_for(vcpu, &request, role, level, spte::NONPRESENT)
        .leaf
        .spte();
    if choice & 8 != 0 {
        leaf = leaf::aged(leaf);
    }
    if choice & 16 != 0 {
        leaf = leaf.without(spte::WRITABLE);
    }
    if choice & 32 != 0 {
        leaf = leaf.without(masks::dirty());
    }
    leaf
}

/// The leaf as the fast page-fault path makes it accessible again.
fn restored(leaf: Spte) -> Spte {
    const SAVED: u64 = 0b100_0000_0101;
    if !leaf.is_access_tracked() || masks::acc_track() == 0 {
        return leaf;
    }
    leaf.without(SAVED << 52).with(leaf.raw() >> 52 & SAVED)
}

proptest! {
    #![proptest_config(common::config(256, "tests/regressions/leaf.txt"))]

    #[test]
    fn aging_takes_access_and_nothing_else(format in 0..4usize, pfn in 1..1u64 << 20, choice in 0..64u32) {
        let vcpu = vcpu_with(formats()[format].1, Options::default());
        let leaf = any_leaf(&vcpu, Level::PG_4K, pfn, choice);
        let old = leaf::aged(leaf);
        prop_assert!(!old.is_accessed() && old.is_leaf(Level::PG_4K));
        prop_assert_eq!(leaf::aged(old), old, "aging is idempotent");
        prop_assert_eq!(old.pfn(), leaf.pfn());
        prop_assert_eq!(old.is_mmu_writable(), leaf.is_mmu_writable());
        if leaf.ad_enabled() {
            prop_assert_eq!(old.with(leaf.raw() & masks::accessed()), leaf);
        } else if masks::acc_track() != 0 {
            prop_assert!(old.is_access_tracked() && old.raw() & 7 == 0, "no way in: {:?}", old);
            // All comes back but the right to write, which a fault decides on anew.
            let back = restored(old).with(leaf.raw() & masks::accessed());
            prop_assert_eq!(back, restored(leaf).without(spte::WRITABLE));
        }
    }

    #[test]
    fn splitting_and_merging_are_inverse(
        format in 0..4usize,
        nx_huge_pages: bool,
        pfn in 1..1u64 << 20,
        choice in 0..64u32,
        level in 2..=3u32,
        index in 0..512usize,
    ) {
        let options = Options { nx_huge_pages, ..Options::default() };
        let vcpu = vcpu_with(formats()[format].1, options);
        let vm = vcpu.vm();
        let level = Level::new(level).expect("a level");
        let below = level.below().expect("a level");
        let huge = any_leaf(&vcpu, level, pfn, choice);
        let small = leaf::small_from_huge(vm, huge, kvm::role(), below, index);
        prop_assert_eq!(small.level(), below);
        let small = small.spte();
        prop_assert!(small.is_leaf(below));
        prop_assert_eq!(small.pfn().raw(), huge.pfn().raw() + index as u64 * below.pages());
        prop_assert_eq!(small.is_writable(), huge.is_writable());
        prop_assert_eq!(small.is_mmu_writable(), huge.is_mmu_writable());
        prop_assert_eq!(small.is_accessed(), huge.is_accessed());
        prop_assert_eq!(small.is_access_tracked(), huge.is_access_tracked());
        prop_assert_eq!(leaf::huge_from_small(vm, small, level), LeafSpte::new(huge, level));

        let fetch = Request { error_code: error::FETCH, ..request(&vcpu, below, pfn) };
        let fetch = PageFault::new(&vcpu, fetch);
        let executable = !nx_huge_pages || below == Level::PG_4K;
        let accessible = restored(small);
        prop_assert_eq!(leaf::permits(&vcpu, &fetch, accessible), executable);
    }

    #[test]
    fn mmio_entries_keep_18_bits_of_the_generation(
        format in 0..4usize,
        generation in 0..1u64 << 24,
        gfn in 0..1u64 << 34,
        access in 0..16u32,
    ) {
        let vcpu = vcpu_with(formats()[format].1, Options::default());
        vcpu.vm().set_generation(generation);
        let mmio = leaf::mmio(&vcpu, &SlotsHeld::new(vcpu.vm()), Gfn::new(gfn), access);
        prop_assert!(!mmio.is_present() && !mmio.is_frozen());
        prop_assert_eq!(vcpu.vm().is_mmio_spte(mmio), masks::mmio_caching());
        // Bits 0 to 6 of the generation are in bits 3 to 9, and bits 7 to 17 in 52 to 62.
        let fields = bits(3, 9) | bits(52, 62);
        for bit in 0..18 {
            let at = if bit < 7 { 3 + bit } else { 52 + bit - 7 };
            prop_assert_eq!(mmio.raw() >> at & 1, generation >> bit & 1, "bit {}", bit);
        }
        let hidden = masks::nonpresent_or_rsvd();
        let rest = mmio.without(fields | masks::mmio() | u64::from(access) & masks::mmio_access());
        let address = rest.raw() & !(hidden | hidden << 5);
        prop_assert_eq!(address | (rest.raw() >> 5 & hidden), gfn << 12);
        prop_assert_eq!(rest.raw() & hidden, hidden);
    }

    #[test]
    fn volatile_is_what_can_change_under_us(format in 0..4usize, choice in 0..64u32) {
        let vcpu = vcpu_with(formats()[format].1, Options::default());
        let leaf = any_leaf(&vcpu, Level::PG_4K, 0x1234, choice);
        // Hardware sets the dirty bit; the fast page-fault path sets W or restores access.
        let hardware = leaf.ad_enabled() && leaf.is_writable() && !leaf.has(masks::dirty());
        let fast_w = !leaf.is_writable() && leaf.is_mmu_writable();
        let fast_access = !leaf.ad_enabled();
        prop_assert_eq!(leaf.is_volatile(), hardware || fast_w || fast_access);
    }
}

#[test]
fn special_values_are_told_apart() {
    for (name, format) in formats() {
        Machine::new(format).enter();
        for value in [spte::NONPRESENT, spte::FROZEN] {
            assert!(!value.is_present(), "{name}");
            assert!(!vm(format).is_mmio_spte(value), "{name}");
        }
        assert!(
            spte::FROZEN.is_frozen() && !spte::NONPRESENT.is_frozen(),
            "{name}"
        );
    }
}
