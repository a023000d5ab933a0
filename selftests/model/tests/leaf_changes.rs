// SPDX-License-Identifier: GPL-2.0

//! Entries as values: how they are aged, split, merged and marked as MMIO.

mod common;

use common::{
    leaf::{leaf_for, request, vcpu_with},
    vm, Options,
};
use kvmrs_model::{
    kvm::{
        fault::{error, Request},
        spte::{self, masks},
        Access, Gfn, LeafSpte, Level, PageFault, SlotsHeld, Spte, Vcpu,
    },
    machine::{bits, formats, Machine},
    tdp_mmu::leaf,
    world::kvm,
};
use proptest::prelude::*;

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
    let mut leaf = leaf_for(vcpu, &request, role, level, spte::NONPRESENT).spte();
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
    #![proptest_config(common::config(256, "tests/regressions/leaf_changes.txt"))]

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
        prop_assert_eq!(leaf::permits(&fetch, accessible), executable);
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
        let mmio = leaf::mmio(&vcpu, &SlotsHeld::new(vcpu.vm()), Gfn::new(gfn), Access::new(access));
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

/// C and hardware read the same entries. The module's build compares these with C's, and here they are in figures.
#[test]
fn values_are_those_of_the_format() {
    assert_eq!(
        (spte::READABLE, spte::WRITABLE, spte::PAGE_SIZE),
        (1, 2, 0x80)
    );
    assert_eq!(spte::MMU_PRESENT, 0x800);
    assert_eq!(spte::AD_DISABLED, 0x1000_0000_0000_0000);
    assert_eq!(spte::AD_WRPROT_ONLY, 0x2000_0000_0000_0000);
    assert_eq!(spte::NONPRESENT.raw(), 0x8000_0000_0000_0000);
    assert_eq!(spte::FROZEN.raw(), 0x8000_0000_0000_01a0);
}
