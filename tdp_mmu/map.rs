// SPDX-License-Identifier: GPL-2.0

//! Page faults: build the way down to the goal level and map the frame there.
//!
//! The fault comes here with a page that is still what the host has there, and stays so, as `mmu_lock` is
//! held for read. Whoever loses a race for an entry, or finds it frozen, lets the guest fault again.
//!
//! C counterpart: `kvm_tdp_mmu_map()`.

use super::{
    change::{account, collapse_link, zap_leaf, zap_link},
    leaf,
    split::{split_for_fault, DirtyBits}, //
};
use crate::{
    kvm::{
        table::{
            report, Absent, EntrySnapshot, Leaf, Link, LinkError, NewTable, Role, Table,
            TransitionError,
        },
        Context,
        Counted,
        Current,
        Entry,
        LeafSpte,
        NxHugePage,
        Outcome,
        Raced,
        Shared,
        Spte,
        State,
        VmPage, //
    },
    sync::rcu, //
};

/// The guest has to fault again: the fault lost a race. If a transition was refused, the VM is
/// marked as broken, and the vCPU will not get back into the guest.
struct Retry;

impl From<Raced> for Retry {
    #[inline(always)]
    fn from(_: Raced) -> Self {
        Self
    }
}

impl From<TransitionError> for Retry {
    #[inline(always)]
    fn from(_: TransitionError) -> Self {
        Self
    }
}

impl<T> From<LinkError<T>> for Retry {
    #[inline(always)]
    fn from(_: LinkError<T>) -> Self {
        Self
    }
}

/// Resolves `fault` in the tree of `root`, which its vCPU has loaded.
#[inline(always)]
pub fn map(root: &VmPage<'_>, fault: &mut Current<'_, '_>) -> Outcome {
    fault.trace(root.role().access());

    let rcu = rcu::read_lock();
    let Some((cx, mut table)) = Context::enter(fault.lock(), &rcu, root) else {
        return Outcome::Retry;
    };
    while let Some(entry) = Entry::towards(cx, table, fault.gfn(), fault.goal_level()) {
        let at = entry.snapshot();
        let state = entry.state();
        if let State::Link(link) = &state {
            fault.adjust_for_nx(link);
        }
        if at.level == fault.goal_level() {
            return map_at_goal(fault, cx.role(), &at, state).unwrap_or(Outcome::Retry);
        }
        // No goal lies below the lowest level, so the walk ends.
        match step_down(fault, state) {
            Ok(below) => table = below,
            Err(Retry) => return Outcome::Retry,
        }
    }
    out_of_reach(fault)
}

/// What becomes of a fault at a frame that the root does not span. C takes the frame modulo the
/// root's size, and maps at a low address.
///
/// A frame without a slot is emulated, as one above the host's MAXPHYADDR is. If there is a slot,
/// userspace has made it where the vCPU cannot get at it.
fn out_of_reach(fault: &Current<'_, '_>) -> Outcome {
    match fault.slot() {
        Some(_) => Outcome::OutOfReach,
        None => Outcome::Emulate,
    }
}

/// The table below an entry above the goal, made if it is not there.
fn step_down<'r>(fault: &Current<'_, '_>, state: State<'r, Shared>) -> Result<Table<'r>, Retry> {
    let (cx, level, table) = match state {
        State::Link(link) => return Ok(link.table()),
        State::Frozen => return Err(Retry),
        State::Absent(absent) => (absent.cx(), absent.level(), link_table(fault, absent)?),
        State::Leaf(leaf) => (leaf.cx(), leaf.level(), split_leaf(fault, leaf)?),
    };
    if fault.nx_huge_page() == NxHugePage::Disallowed && fault.req_level() >= level {
        cx.page_of(table).track_possible_nx_huge_page(fault.lock());
    }
    Ok(table)
}

fn link_table<'r>(fault: &Current<'_, '_>, absent: Absent<'r, Shared>) -> Result<Table<'r>, Retry> {
    let cx = absent.cx();
    let new = NewTable::for_entry(fault.vcpu().alloc_table(), &absent, fault.nx_huge_page());
    let (change, table) = absent.link(new)?;
    account(&cx, change);
    Ok(table)
}

fn split_leaf<'r>(fault: &Current<'_, '_>, huge: Leaf<'r, Shared>) -> Result<Table<'r>, Retry> {
    let dirty = match fault.slot() {
        Some(slot) if slot.is_dirty_tracked() => DirtyBits::Clear,
        _ => DirtyBits::Copy,
    };
    let memory = fault.vcpu().alloc_table();
    Ok(split_for_fault(huge, memory, fault.nx_huge_page(), dirty)?)
}

/// Maps the frame, or marks it as MMIO, at the entry `at` of the goal level, whose state is `state`.
#[inline(always)]
fn map_at_goal(
    fault: &Current<'_, '_>,
    role: Role,
    at: &EntrySnapshot<'_>,
    state: State<'_, Shared>,
) -> Result<Outcome, Retry> {
    match &state {
        State::Frozen => return Err(Retry),
        State::Leaf(leaf) if is_spurious(fault, leaf.spte()) => return Ok(Outcome::Spurious),
        _ => {}
    }
    let Some(slot) = fault.slot() else {
        return mark_mmio(fault, state);
    };
    let new = leaf::for_fault(fault, slot, role, at);
    let spurious = new.spte() == at.spte;
    if !spurious {
        new.install(|leaf| install(state, leaf))?;
    }
    report::spte_set(at);
    Ok(match (new.write_protected && fault.is_write(), spurious) {
        // Without emulation the guest would fault on the same write for ever.
        (true, _) => Outcome::WriteProtected,
        (false, true) => Outcome::Spurious,
        (false, false) => Outcome::Fixed,
    })
}

/// Whether the leaf that is there already gives the guest what it asked for.
fn is_spurious(fault: &Current<'_, '_>, spte: Spte) -> bool {
    if !fault.is_prefetch() && !leaf::permits(fault, spte) {
        return false;
    }
    if fault.slot().is_some() && fault.pfn() != spte.pfn() {
        fault.vcpu().vm().bug();
    }
    true
}

/// Puts the leaf in the place of what is there.
#[inline(always)]
fn install(state: State<'_, Shared>, new: LeafSpte) -> Result<(), Retry> {
    match state {
        State::Frozen => Err(Retry),
        State::Absent(absent) => {
            let cx = absent.cx();
            account(&cx, absent.map(new)?);
            Ok(())
        }
        State::Leaf(leaf) => update_leaf(leaf, new),
        State::Link(link) => collapse(link, new),
    }
}

/// Changes what a leaf permits.
fn update_leaf(leaf: Leaf<'_, Shared>, new: LeafSpte) -> Result<(), Retry> {
    let (cx, gfn, level) = (leaf.cx(), leaf.gfn(), leaf.level());
    let (change, flush) = leaf.update(new)?;
    account(&cx, change);
    if let Some(flush) = flush {
        flush.gfn(cx.vm(), gfn, level);
    }
    Ok(())
}

/// Maps one huge page in the place of a table.
fn collapse(link: Link<'_, Shared>, new: LeafSpte) -> Result<(), Retry> {
    let (vm, gfn, level) = (link.cx().vm(), link.gfn(), link.level());
    // CPUs may still walk the table that goes; they must stop before RCU frees it.
    collapse_link(link, new)?.gfn(vm, gfn, level);
    Ok(())
}

/// Marks a frame without a slot as MMIO.
///
/// Present entries do not turn into MMIO entries: they are zapped and flushed, and the next fault
/// finds the entry absent.
fn mark_mmio(fault: &Current<'_, '_>, state: State<'_, Shared>) -> Result<Outcome, Retry> {
    let absent = match state {
        State::Absent(absent) => absent,
        State::Frozen => return Err(Retry),
        State::Leaf(leaf) => {
            let (vm, gfn, level) = (leaf.cx().vm(), leaf.gfn(), leaf.level());
            zap_leaf(leaf)?.gfn(vm, gfn, level);
            return Err(Retry);
        }
        State::Link(link) => {
            let (vm, gfn, level) = (link.cx().vm(), link.gfn(), link.level());
            zap_link(link)?.gfn(vm, gfn, level);
            return Err(Retry);
        }
    };
    let (cx, vcpu) = (absent.cx(), fault.vcpu());
    let place = absent.snapshot();
    let mmio = leaf::mmio(vcpu, fault.slots(), place.gfn, cx.role().access());
    if mmio != place.spte {
        account(&cx, absent.set_mmio(mmio)?);
    }
    if !vcpu.vm().is_mmio_spte(mmio) {
        // MMIO caching is off; the entry only says that nothing is there.
        report::spte_set(&place);
        return Ok(Outcome::Fixed);
    }
    vcpu.count(Counted::MmioEntry);
    report::mmio_marked(&place, mmio);
    Ok(Outcome::Emulate)
}
