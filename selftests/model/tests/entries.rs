// SPDX-License-Identifier: GPL-2.0

//! What changes of single entries owe, and which entry links a table.

mod common;

use common::{
    entry::{absent, leaf, link, with_entry},
    frame, guest_with, tree,
};
use kvmrs_model::{
    kvm::{
        spte::{masks, AD_DISABLED, MMU_PRESENT, WRITABLE},
        table::NewTable,
        LeafSpte, Level, NxHugePage, PendingFlush, Shared,
    },
    machine::formats,
    tdp_mmu::nx::cut_off,
    world::{cpu::Access, kvm},
};

/// What is the entry's own right to write is taken by write tracking, which relies on it at once. The rest is
/// taken by dirty logging, which flushes when it reports pages.
#[test]
fn a_flush_is_owed_for_the_right_to_write_that_a_tracker_takes() {
    for (name, format) in formats() {
        let (vm, vcpu) = guest_with(format, Level::PG_4K);
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        let (_, _, all) = tree(&vcpu).leaf(frame(0)).expect("a leaf");
        let logged = all.without(WRITABLE);
        let tracked = logged.without(masks::mmu_writable());
        let steps = [
            (logged, false),
            (all, false),
            (tracked, true),
            (tracked, false),
            (all, false),
        ];
        for (step, (to, owed)) in steps.into_iter().enumerate() {
            let mut pending = PendingFlush::none(&vm);
            let flush = with_entry::<Shared, _>(&vcpu, &vm.mmu_read(), Level::PG_4K, |_, read| {
                let new = LeafSpte::new(to, Level::PG_4K);
                let Ok((_, flush)) = leaf(read()).update(new) else {
                    panic!("{name}, step {step}: {to:?} is refused");
                };
                flush
            });
            assert_eq!(flush.is_some(), owed, "{name}, step {step}: {to:?}");
            flush.into_iter().for_each(|flush| pending.add(flush));
        }
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// What the processor and KVM find in an entry that links a table: no right is missing, as those of the leaf decide.
#[test]
fn a_link_has_all_rights() {
    let npt = MMU_PRESENT | 1 << 5 | 0b111;
    let ept = MMU_PRESENT | 1 << 63 | 1 << 10 | 0b111;
    let links = [npt, npt | 1 << 51, ept | 1 << 8, ept | AD_DISABLED];
    for ((name, format), wanted) in formats().into_iter().zip(links) {
        let place = format.base_addr;
        let (vm, vcpu) = guest_with(format, Level::PG_4K);
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        let found = with_entry::<Shared, _>(&vcpu, &vm.mmu_read(), Level::PG_2M, |_, read| {
            read().spte().without(place)
        });
        assert_eq!(found.raw(), wanted, "{name}: {found:?}");
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// The entry links another table once that of the page was cut off.
#[test]
fn a_table_in_the_place_of_another_is_not_taken_for_it() {
    for (_, format) in formats() {
        let (vm, vcpu) = guest_with(format, Level::PG_4K);
        kvm::guest_access(&vcpu, frame(0), Access::Write, |_| ());
        with_entry::<Shared, _>(&vcpu, &vm.mmu_read(), Level::PG_2M, |cx, read| {
            let page = cx.page_of(link(read()).table());
            assert!(page.parent_link(cx).is_some());
            cut_off(cx, &page, &mut PendingFlush::none(&vm));
            assert!(page.parent_link(cx).is_none(), "it was cut off");
            let new = NewTable::for_entry(vcpu.alloc_table(), &read(), NxHugePage::Allowed);
            assert!(absent(read()).link(new).is_ok());
            assert!(page.parent_link(cx).is_none(), "that is another one");
        });
        kvm::destroy(&vm, vec![vcpu]);
    }
}
