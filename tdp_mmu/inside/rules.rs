// SPDX-License-Identifier: GPL-2.0

//! What holds for the page tables of every VM whose `mmu_lock` nobody holds.

use super::scan::{Found, Linked};
use crate::kvm::{
    spte::{masks, AD_MASK, READABLE},
    AnySlots,
    AnyVm,
    Gfn,
    GfnRange,
    HostTables,
    Level,
    MemSlot, //
};

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The header of a table has another level than the link.
    HeaderLevel,
    /// It has another first frame than the link.
    HeaderGfn,
    /// It says that another entry links the table.
    HeaderParent,
    /// Its role is not that of the tree.
    HeaderRole,
    /// A task left an entry frozen.
    Frozen,
    /// A present entry has bits that the CPU does not accept.
    Reserved,
    /// A leaf maps a host page that does not begin where its size demands.
    Unaligned,
    /// A leaf maps what is in no slot.
    NoSlot,
    /// A leaf begins in a slot, and spans frames outside of it.
    AcrossSlot,
    /// A leaf is larger than guest and host addresses of the slot allow.
    TooLarge,
    /// A leaf maps what the host has taken away or split, or a page that is not the guest_memfd's.
    NotTheHosts,
    /// A leaf lets the guest write to a page that is clean in the dirty bitmap.
    CleanWritable,
    /// A leaf is dirty and writable, and the page is clean in the dirty bitmap.
    CleanDirty,
}

impl Rule {
    /// What is wrong, in the file's words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::HeaderLevel => "header has another level",
            Self::HeaderGfn => "header has another gfn",
            Self::HeaderParent => "header has another parent",
            Self::HeaderRole => "header has another role",
            Self::Frozen => "frozen",
            Self::Reserved => "reserved bits",
            Self::Unaligned => "unaligned page",
            Self::NoSlot => "in no slot",
            Self::AcrossSlot => "beyond its slot",
            Self::TooLarge => "larger than its slot allows",
            Self::NotTheHosts => "not what the host maps",
            Self::CleanWritable => "writable and clean in the log",
            Self::CleanDirty => "dirty and clean in the log",
        }
    }
}

/// The first rule that a linked table breaks.
pub(super) fn of_table(linked: &Linked<'_>) -> Option<Rule> {
    let page = linked.table.page();
    let rules = [
        (page.level() == linked.table.level(), Rule::HeaderLevel),
        (page.gfn() == linked.gfn, Rule::HeaderGfn),
        (
            linked.parent.is_parent_of(page, linked.gfn),
            Rule::HeaderParent,
        ),
        (
            page.role().is_of_same_tree(linked.root.role()),
            Rule::HeaderRole,
        ),
    ];
    let broken = rules.into_iter().find(|(holds, _)| !holds);
    broken.map(|(_, rule)| rule)
}

/// What entries are compared with.
pub(super) struct Around<'a> {
    pub(super) vm: &'a AnyVm,
    pub(super) slots: &'a AnySlots<'a>,
    /// `None` if the VM's process is about to end.
    pub(super) host: Option<&'a HostTables<'a>>,
}

/// The first rule that an entry breaks.
pub(super) fn of_entry(around: &Around<'_>, found: &Found<'_>) -> Option<Rule> {
    if found.spte.is_frozen() {
        return Some(Rule::Frozen);
    }
    if !found.spte.is_present() {
        return None;
    }
    of_value(found).or_else(|| {
        // What is left in an invalid root is about to be zapped, and no vCPU uses it: its slot may
        // be gone, or another one.
        let valid = !found.root.role().is_invalid();
        valid.then(|| of_slot(around, found)).flatten()
    })
}

/// Of a leaf by itself.
fn of_value(leaf: &Found<'_>) -> Option<Rule> {
    let spte = leaf.spte;
    let unreadable = spte.is_writable() && !spte.has(READABLE);
    if leaf.level > Level::MAX_HUGEPAGE || spte.has(masks::reserved_addr()) || unreadable {
        return Some(Rule::Reserved);
    }
    (spte.pfn().raw() & (leaf.level.pages() - 1) != 0).then_some(Rule::Unaligned)
}

/// Of a leaf and the slot that it lies in.
fn of_slot(around: &Around<'_>, leaf: &Found<'_>) -> Option<Rule> {
    let address_space = leaf.root.role().address_space();
    let Some(slot) = around.slots.find(address_space, leaf.gfn) else {
        return Some(Rule::NoSlot);
    };
    let (page, range) = (
        GfnRange::sized(leaf.gfn, leaf.level.pages()),
        slot.range(), //
    );
    if page.start < range.start || page.end > range.end {
        return Some(Rule::AcrossSlot);
    }
    if !slot.is_aligned_for(leaf.level) {
        return Some(Rule::TooLarge);
    }
    if !is_backed(around, slot, leaf) {
        return Some(Rule::NotTheHosts);
    }
    of_log(around.vm, slot, leaf)
}

/// Whether the host has the page of a leaf where KVM takes it from.
fn is_backed(around: &Around<'_>, slot: &MemSlot, leaf: &Found<'_>) -> bool {
    let (gfn, level, pfn) = (leaf.gfn, leaf.level, leaf.spte.pfn());
    if slot.is_from_gmem(around.vm, gfn) {
        return slot.gmem_has(gfn, level, pfn);
    }
    let has = |host: &HostTables<'_>| host.has(slot, gfn, level, pfn);
    around.host.is_none_or(has)
}

/// Of a small leaf in a slot that logs writes in a bitmap.
///
/// Where the CPU logs (PML), it sets the dirty bit of a leaf that is writable all the time. One that
/// is dirty already may be write-protected as well: a fault then logs what the CPU does not. Else,
/// and for trees that PML does not see, a clean page is write-protected.
fn of_log(vm: &AnyVm, slot: &MemSlot, leaf: &Found<'_>) -> Option<Rule> {
    if leaf.level != Level::PG_4K || !leaf.spte.is_writable() || !slot.is_logged_clean(leaf.gfn) {
        return None;
    }
    if vm.has_cpu_dirty_log() && !leaf.spte.has(AD_MASK) {
        return leaf.spte.has(masks::dirty()).then_some(Rule::CleanDirty);
    }
    Some(Rule::CleanWritable)
}

/// Where a rule was broken, as far as it can be found again.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The name of the root.
    pub(super) root: usize,
    /// The first frame of the entry.
    pub(super) gfn: Gfn,
    /// The level of the table that the entry lies in.
    pub(super) level: Level,
}
