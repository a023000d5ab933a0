// SPDX-License-Identifier: GPL-2.0

//! How leaf and MMIO entries are made, and made from each other.
//!
//! C counterpart: `arch/x86/kvm/mmu/spte.c`.

use crate::kvm::{
    spte::{masks, AD_DISABLED, AD_WRPROT_ONLY, PAGE_SIZE, READABLE, WRITABLE},
    table::EntrySnapshot,
    Access,
    Current,
    Gfn,
    HostFrame,
    LeafSpte,
    Level,
    MemSlot,
    PageFault,
    Role,
    SlotsHeld,
    Spte,
    Vcpu,
    Vm, //
};

/// Where an access-tracked entry keeps the access bits it lost: [`SAVED_ACCESS`] moved up by this.
pub(crate) const SAVED_SHIFT: u32 = 52;
/// EPT's R, X and XU bits. W is not kept: a write fault decides on it anew.
pub(crate) const SAVED_ACCESS: u64 = 1 << 0 | 1 << 2 | 1 << 10;

/// The generation bits of an MMIO entry: 7 from bit 3 on and 11 from bit 52 on.
pub(crate) const GEN_LOW_BITS: u32 = 7;
pub(crate) const GEN_LOW_SHIFT: u32 = 3;
pub(crate) const GEN_HIGH_SHIFT: u32 = 52;
pub(crate) const GEN_BITS: u32 = 18;
/// How far MMIO entries move the address bits that the L1TF mitigation inverts.
pub(crate) const L1TF_SHIFT: u32 = 5;

/// A leaf for a fault. It is put in its place by [`install`](Self::install) alone, so that what it lets
/// the guest write to is in the dirty log.
pub struct NewLeaf<'a> {
    leaf: LeafSpte,
    slot: &'a MemSlot,
    vcpu: &'a Vcpu,
    gfn: Gfn,
    /// Whether it must not be writable because somebody tracks writes to the frame.
    pub write_protected: bool,
}

impl NewLeaf<'_> {
    /// The value of the entry.
    #[inline(always)]
    pub fn spte(&self) -> Spte {
        self.leaf.spte()
    }

    /// Lets `put` put the leaf in its place.
    #[inline(always)]
    pub fn install<E>(&self, put: impl FnOnce(LeafSpte) -> Result<(), E>) -> Result<(), E> {
        self.vcpu
            .log_write(self.slot, self.gfn, self.spte(), || put(self.leaf))
    }
}

/// Whether dirty logging has to go by write protection in the tree with `role`: there are no dirty
/// bits, or those of a nested guest would end up in PML with the wrong addresses.
#[inline(always)]
pub fn needs_write_protection(vm: &Vm, role: Role) -> bool {
    logs_nested_writes(vm, role) || !masks::ad_enabled()
}

#[inline(always)]
fn logs_nested_writes(vm: &Vm, role: Role) -> bool {
    vm.has_cpu_dirty_log() && role.is_guest_mode()
}

/// Makes the leaf for a fault at the entry `at` (`make_spte`).
///
/// A prefetched leaf of a logged slot is not writable: nobody has written yet, and pre-faulting does not
/// stop when a dirty ring is full. The fast page-fault path makes it writable at the first write, and
/// logs that.
#[inline(always)]
pub fn for_fault<'a>(
    fault: &Current<'_, 'a>,
    slot: &'a MemSlot,
    role: Role,
    at: &EntrySnapshot<'_>,
) -> NewLeaf<'a> {
    let vcpu = fault.vcpu();
    let vm = vcpu.vm();
    let (gfn, level, old) = (at.gfn, at.level, at.spte);
    let mut frame = HostFrame::new(fault.pfn());
    let prefetch = fault.is_prefetch();

    let mut bits = masks::present() | tracking(vm, role) | permissions(vm, role.access(), level);
    if !prefetch {
        bits |= masks::accessed();
    }
    bits |= frame.memory_type(vcpu, gfn);
    if masks::me_value() != 0 && !frame.is_mmio() {
        bits |= masks::me_value();
    }
    bits |= fault.pfn().addr();

    let mut write_protected = false;
    if fault.is_host_writable() {
        bits |= masks::host_writable();
        if role.access().grants(Access::WRITE) {
            // What was writable stays so: pfns do not change under a leaf, and the shadow MMU was
            // told when the old leaf became writable.
            let was_writable = old.is_leaf(level) && old.is_writable();
            write_protected = !was_writable && fault.must_write_protect(slot, gfn);
            if !write_protected {
                bits |= masks::mmu_writable();
                if !(prefetch && slot.is_dirty_tracked()) {
                    bits |= WRITABLE | masks::dirty();
                }
            }
        }
    }

    let mut leaf = LeafSpte::new(Spte::new(bits), level);
    if prefetch {
        leaf = LeafSpte::new(aged(leaf.spte()), level);
    }
    if vcpu.reserved_bits(leaf.spte(), level) != 0 {
        vm.bug();
    }
    frame.track_mmio_mapping(vcpu);
    NewLeaf {
        leaf,
        slot,
        vcpu,
        gfn,
        write_protected,
    }
}

/// How accesses and writes through the entries of a tree are tracked.
#[inline(always)]
fn tracking(vm: &Vm, role: Role) -> u64 {
    if role.is_ad_disabled() {
        AD_DISABLED
    } else if logs_nested_writes(vm, role) {
        AD_WRPROT_ONLY
    } else {
        0
    }
}

/// The bits for reading and executing. Huge pages are not executable under the NX workaround.
#[inline(always)]
fn permissions(vm: &Vm, mut access: Access, level: Level) -> u64 {
    if level > Level::PG_4K && vm.nx_huge_pages() {
        access = access.without(Access::EXEC);
        if masks::user_exec() != 0 {
            access = access.without(Access::USER);
        }
    }
    let read = if access.grants(Access::READ) {
        READABLE
    } else {
        0
    };
    let user = if access.grants(Access::USER) {
        masks::user() | masks::user_exec()
    } else {
        0
    };
    read | user | executable(access)
}

/// The bits that permit, or on NPT fail to forbid, execution (not by user mode, on EPT).
#[inline(always)]
fn executable(access: Access) -> u64 {
    if access.grants(Access::EXEC) {
        masks::exec()
    } else {
        masks::nx()
    }
}

/// An entry that marks `gfn` as emulated MMIO, valid for the present memslots (`make_mmio_spte`).
pub fn mmio(vcpu: &Vcpu, slots: &SlotsHeld<'_>, gfn: Gfn, access: Access) -> Spte {
    let hidden = masks::nonpresent_or_rsvd();
    Spte::new(
        mmio_generation(vcpu.memslots_generation(slots))
            | vcpu.vm().mmio_value()
            | u64::from(access.raw()) & masks::mmio_access()
            | gfn.addr()
            | hidden
            | (gfn.addr() & hidden) << L1TF_SHIFT,
    )
}

/// The part of the memslots' generation that an MMIO entry keeps, in place.
fn mmio_generation(generation: u64) -> u64 {
    let generation = generation & ((1 << GEN_BITS) - 1);
    let low = generation & ((1 << GEN_LOW_BITS) - 1);
    let high = generation >> GEN_LOW_BITS;
    low << GEN_LOW_SHIFT | high << GEN_HIGH_SHIFT
}

/// Whether the entry `spte` already grants what `fault` is about.
#[inline]
pub fn permits(fault: &PageFault<'_>, spte: Spte) -> bool {
    // In entries and in sets of rights the lowest two bits mean the same.
    let mut access = Access::new((spte.raw() & (READABLE | WRITABLE)) as u32);
    if masks::nx() != 0 {
        if spte.has(masks::user()) {
            access = access.with(Access::USER);
        }
        if !spte.has(masks::nx()) {
            access = access.with(Access::EXEC);
        }
    } else {
        if spte.has(masks::exec()) {
            access = access.with(Access::EXEC);
        }
        if spte.has(masks::user_exec()) {
            access = access.with(Access::USER);
        }
    }
    fault.vcpu().permits(fault.error_code(), access)
}

/// The leaf at `index` of the table that maps what the huge page `huge` of the level above mapped.
pub fn small_from_huge(vm: &Vm, huge: Spte, role: Role, level: Level, index: usize) -> LeafSpte {
    let offset = Gfn::new(index as u64 * level.pages()).addr();
    let small = huge.with(offset);
    if level > Level::PG_4K {
        return LeafSpte::new(small, level);
    }
    let small = small.without(PAGE_SIZE);
    // A small page may be executed; that is what the workaround splits huge ones for.
    let small = if vm.nx_huge_pages() {
        with_execute(small, role.access())
    } else {
        small
    };
    LeafSpte::new(small, level)
}

/// The huge page of `level` in the place of a table that maps the leaf `small`.
pub fn huge_from_small(vm: &Vm, small: Spte, level: Level) -> LeafSpte {
    let low_address = Gfn::new(level.pages() - 1).addr();
    let huge = small.with(PAGE_SIZE).without(low_address);
    let huge = if vm.nx_huge_pages() {
        with_execute(huge, Access::NONE)
    } else {
        huge
    };
    LeafSpte::new(huge, level)
}

/// The leaf with the right to execute changed to that of `access`.
fn with_execute(leaf: Spte, access: Access) -> Spte {
    let all = masks::nx() | masks::exec() | masks::user_exec();
    let mut bits = executable(access);
    if access.grants(Access::USER) {
        bits |= masks::user_exec();
    }
    let change = |leaf: Spte| leaf.without(all).with(bits);
    if leaf.is_access_tracked() {
        access_tracked(change(access_restored(leaf)))
    } else {
        change(leaf)
    }
}

/// The leaf as one that was not accessed: without its accessed bit, or where there is none without
/// any right at all, so that the next access faults (`mark_spte_for_access_track`).
#[inline(always)]
pub fn aged(leaf: Spte) -> Spte {
    if leaf.ad_enabled() {
        leaf.without(masks::accessed())
    } else if leaf.is_access_tracked() {
        leaf
    } else {
        access_tracked(leaf)
    }
}

fn access_tracked(leaf: Spte) -> Spte {
    leaf.with((leaf.raw() & SAVED_ACCESS) << SAVED_SHIFT)
        .without(masks::acc_track() | masks::accessed())
}

/// The leaf with the rights that it had before it was made inaccessible.
pub(super) fn access_restored(leaf: Spte) -> Spte {
    let saved = leaf.raw() >> SAVED_SHIFT & SAVED_ACCESS;
    leaf.without(masks::acc_track() | SAVED_ACCESS << SAVED_SHIFT)
        .with(saved)
}
