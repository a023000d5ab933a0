// SPDX-License-Identifier: GPL-2.0

//! The part of KVM that stays in C and calls the TDP MMU, with the locks it holds and the flushes
//! it does, and the kernel that calls KVM.

use super::{
    cpu::{Access, Exit},
    mistakes::Mistake,
    primary::HostPage,
};
use crate::{
    atomic::{plain::lock, retry, Arc, PoisonError},
    kvm::{
        fault::{error, Request},
        spte::{masks, READABLE, WRITABLE},
        types::Pfn,
        AddressSpace, Context, Exclusive, Gfn, GfnRange, Level, MemSlot, MmuLock, Outcome,
        PageFault, PendingFlush, Role, Shared, SlotRange, SlotsLocked, Spte, Vcpu, Vm, VmPage,
    },
    sync::rcu,
    tdp_mmu::{self, dirty::LogBy},
};
use std::collections::BTreeSet;

/// Number of tries after which a guest that does not get on is a failure, as somebody else may be at
/// it, and if there is nobody else.
const MANY: u32 = 5000;
const ALONE: u32 = 50;

/// The address spaces of every VM.
const SPACES: [AddressSpace; 2] = [AddressSpace::NORMAL, AddressSpace::SMM];

fn error_code(access: Access) -> u64 {
    error::USER
        | match access {
            Access::Read => 0,
            Access::Write => error::WRITE,
            Access::Fetch => error::FETCH,
        }
}

/// Gives the vCPU a valid root.
pub fn load_root(vcpu: &Vcpu) {
    vcpu.cpu.take_request();
    unload_root(vcpu);
    tdp_mmu::roots::load_root(vcpu);
}

/// Puts the vCPU's root.
pub fn unload_root(vcpu: &Vcpu) {
    let root = vcpu.take_root();
    let lock = vcpu.vm().mmu_read();
    drop(root);
    drop(lock);
}

/// Lets the guest access `gfn` until it works. Returns the host frame, `None` for MMIO or if the
/// write has to be emulated.
pub fn guest_access(vcpu: &Vcpu, gfn: Gfn, access: Access, effect: impl Fn(u64)) -> Option<u64> {
    let shared = vcpu.vm().machine.is_shared();
    let tries = if shared { MANY } else { ALONE };
    for attempt in 0..tries {
        let done = vcpu.cpu.access(vcpu, gfn, access, |pfn| {
            effect(pfn);
            pfn
        });
        if done.is_err() {
            vcpu.cpu.drain_dirty_log(vcpu.vm());
        }
        match done {
            Ok(pfn) => return Some(pfn),
            Err(Exit::LogFull) => {}
            Err(Exit::Mmio) => return None,
            Err(Exit::NoRoot) => load_root(vcpu),
            Err(Exit::Fault) => match fault(vcpu, gfn, access) {
                Outcome::Emulate | Outcome::WriteProtected => return None,
                Outcome::Fixed => {}
                // Somebody else is at it: has changed the entry, or is about to flush.
                Outcome::Retry | Outcome::Spurious => retry(attempt),
                Outcome::OutOfReach => panic!("KVM_RUN fails: no root spans {gfn:?}"),
            },
        }
    }
    panic!("the guest does not get on at {gfn:?}");
}

/// Handles a fault: without the lock if that does, else by mapping.
pub fn fault(vcpu: &Vcpu, gfn: Gfn, access: Access) -> Outcome {
    let _srcu = vcpu
        .vm()
        .srcu
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    if fast_page_fault(vcpu, gfn, access) {
        return Outcome::Fixed;
    }
    slow_page_fault(vcpu, gfn, error_code(access), false)
}

/// Maps a frame that the guest did not ask for yet (`KVM_PRE_FAULT_MEMORY`).
pub fn prefetch(vcpu: &Vcpu, gfn: Gfn) -> Outcome {
    slow_page_fault(vcpu, gfn, error_code(Access::Read), true)
}

/// Looks up the frame and maps it, unless the host changes it meanwhile.
fn slow_page_fault(vcpu: &Vcpu, gfn: Gfn, error_code: u64, prefetch: bool) -> Outcome {
    let vm = vcpu.vm();
    let snapshot = vm.primary.snapshot();
    let slot = vm.slot(vcpu.root_role().address_space(), gfn);
    let page = slot.and_then(|_| vm.primary.page(gfn));
    match (slot, page) {
        (Some(_), None) => return Outcome::Retry,
        (None, _) if !masks::mmio_caching() => return Outcome::Emulate,
        _ => {}
    }
    let lock = vm.mmu_read();
    if !vm.primary.is_current(snapshot) {
        return Outcome::Retry;
    }
    let Some(root) = vcpu.root().filter(|root| !root.role().is_invalid()) else {
        return Outcome::Retry;
    };
    let request = Request {
        gfn,
        pfn: page.map_or(Pfn::new(0), |page| page.pfn_of(gfn)),
        slot,
        error_code,
        prefetch,
        map_writable: page.is_some_and(|page: HostPage| page.writable),
        max_level: Level::MAX_HUGEPAGE,
    };
    tdp_mmu::map::map(vcpu, &lock, &root, &mut PageFault::new(vcpu, request))
}

/// C's fast path: sets the W bit, or makes an access-tracked entry accessible, without the lock.
pub fn fast_page_fault(vcpu: &Vcpu, gfn: Gfn, access: Access) -> bool {
    let (vm, rcu) = (vcpu.vm(), rcu::read_lock());
    let Some(root) = vcpu.root() else {
        return false;
    };
    let mut last = None;
    tdp_mmu::lookup::for_each_on_path(&rcu, &root, gfn, |place| last = Some(place));
    let Some(place) = last.filter(|place| place.spte.is_leaf(place.level)) else {
        return false;
    };
    let Some(slot) = vm.slot(vcpu.root_role().address_space(), gfn) else {
        return false;
    };

    let mut new = place.spte;
    if new.is_access_tracked() && masks::acc_track() != 0 {
        new = access_restored(new);
    }
    if access == Access::Write && new.is_mmu_writable() {
        if place.level > Level::PG_4K && slot.is_dirty_tracked() {
            return false;
        }
        new = new.with(WRITABLE);
    }
    let allowed = match access {
        Access::Read => new.has(READABLE),
        Access::Write => new.is_writable(),
        Access::Fetch => false,
    };
    if new == place.spte || !allowed || !place.cell.hardware_exchange(place.spte, new) {
        return false;
    }
    if new.is_writable() && !place.spte.is_writable() {
        slot.mark_dirty(gfn);
    }
    true
}

/// EPT's R, X and XU bits back from where access tracking put them.
fn access_restored(spte: Spte) -> Spte {
    const SAVED: u64 = 1 << 0 | 1 << 2 | 1 << 10;
    let saved = spte.raw() >> 52 & SAVED;
    spte.without(SAVED << 52 | masks::acc_track()).with(saved)
}

/// The host changes its mapping of `range`: what an mmu_notifier is for.
pub fn invalidate(vm: &Vm, range: GfnRange, change: impl FnOnce()) {
    {
        let mut lock = vm.mmu_write();
        vm.primary.begin();
        let mut flush = PendingFlush::none(vm);
        for address_space in SPACES {
            let range = SlotRange {
                range,
                address_space,
                may_block: true,
            };
            flush = tdp_mmu::zap::unmap_range(&mut lock, range, flush);
        }
        if flush.into_caller() {
            vm.flush_remote_tlbs();
        }
    }
    change();
    let lock = vm.mmu_write();
    vm.primary.end();
    drop(lock);
}

/// `KVM_SET_MEMORY_ATTRIBUTES`: the memory of `range` becomes private, and what it maps goes. The
/// tables stay.
pub fn make_private(vm: &Vm, range: GfnRange) {
    invalidate(vm, range, || vm.set_private(range));
}

/// `kvm_zap_gfn_range()`.
pub fn zap_range(vm: &Vm, range: GfnRange) {
    let mut lock = vm.mmu_write();
    let flush = tdp_mmu::zap::zap_range(&mut lock, range, PendingFlush::none(vm));
    drop(flush);
}

/// The "fast zap": all roots become invalid, vCPUs have to load new ones. Holds `slots_lock`.
pub fn zap_all_fast(vm: &Vm) {
    let slots = SlotsLocked::new(vm);
    let mmu_lock = vm.mmu_write();
    mmu_lock.invalidate_roots(&slots);
    // Under the lock: a notifier that comes next zaps invalid roots and does not flush for them.
    if !vm.mistakes.has(Mistake::RootRequestLate) {
        request_roots(vm);
    }
    drop(mmu_lock);
    if vm.mistakes.has(Mistake::RootRequestLate) {
        vm.breaks.run_hook();
        request_roots(vm);
    }
    tdp_mmu::roots::zap_invalidated_roots::<Shared>(&mut vm.mmu_read(), &slots);
}

/// Asks vCPUs to load another root, which they find before they enter the guest again, and waits
/// until all CPUs are out of it (`KVM_REQ_MMU_FREE_OBSOLETE_ROOTS`).
fn request_roots(vm: &Vm) {
    if vm.mistakes.has(Mistake::RootRequestForgotten) {
        return;
    }
    let cpus = lock(&vm.cpus).clone();
    cpus.iter().for_each(|cpu| cpu.request_root());
}

/// Puts a slot in the place of another that differs in whether writes are logged. Faults that saw
/// the old one are over when it returns (`synchronize_srcu()`).
fn set_dirty_tracked(vm: &Vm, slot: &MemSlot, on: bool) {
    slot.set_dirty_tracked(on);
    drop(vm.srcu.write().unwrap_or_else(PoisonError::into_inner));
}

/// When a slot's huge pages are split whose writes begin to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// All at once (kvm.ko's parameter `eager_page_split`).
    Eagerly,
    /// Each when it is written.
    AtFaults,
}

/// Starts logging of writes to `slot`.
pub fn start_dirty_log(vm: &Vm, slot: &MemSlot, split: Split) {
    set_dirty_tracked(vm, slot, true);
    if split == Split::Eagerly {
        try_split(vm, slot, slot.range(), Level::PG_4K);
    }
    let mut lock = vm.mmu_read();
    if vm.has_cpu_dirty_log() {
        tdp_mmu::dirty::clear_dirty_slot(&mut lock, slot);
        // Huge pages must not collect dirty bits: they are to be mapped small at the next write.
        tdp_mmu::dirty::write_protect_slot(&mut lock, slot, Level::PG_2M);
    } else {
        tdp_mmu::dirty::write_protect_slot(&mut lock, slot, Level::PG_4K);
    }
    drop(lock);
    vm.flush_remote_tlbs();
}

/// Stops logging and makes huge pages of small ones.
pub fn stop_dirty_log(vm: &Vm, slot: &MemSlot) {
    set_dirty_tracked(vm, slot, false);
    recover(vm, slot);
}

/// Takes the dirty log, and makes writes to its pages count again (`KVM_GET_DIRTY_LOG`).
pub fn harvest(vm: &Vm, slot: &MemSlot) -> BTreeSet<Gfn> {
    let cpus = lock(&vm.cpus).clone();
    cpus.iter().for_each(|cpu| cpu.drain_dirty_log(vm));
    let lock = vm.mmu_write();
    let dirty = slot.take_log();
    clear_dirty(&lock, slot, &dirty);
    drop(lock);
    vm.flush_remote_tlbs();
    dirty
}

/// Resets a dirty ring with an entry for `gfn` (`KVM_RESET_DIRTY_RINGS`, in a VM with
/// `KVM_DIRTY_LOG_INITIALLY_SET`). Userspace can write the entry, and nobody asks whether the slot
/// is logged.
pub fn reset_dirty_ring(vm: &Vm, slot: &MemSlot, gfn: Gfn) {
    let mut lock = vm.mmu_write();
    let range = GfnRange::one(gfn);
    tdp_mmu::split::try_split_huge_pages::<Exclusive>(&mut lock, slot, range, Level::PG_4K);
    clear_dirty(&lock, slot, &BTreeSet::from([gfn]));
    drop(lock);
    vm.flush_remote_tlbs();
}

/// One call for each group of 64 pages that has dirty ones.
fn clear_dirty(lock: &MmuLock<'_, Exclusive>, slot: &MemSlot, dirty: &BTreeSet<Gfn>) {
    let start = slot.range().start;
    let mut groups = std::collections::BTreeMap::new();
    for gfn in dirty {
        let offset = gfn.offset_from(start);
        *groups.entry(offset / 64).or_insert(0u64) |= 1 << (offset % 64);
    }
    for (group, mask) in groups {
        let base = start.add(group * 64);
        let log_by = if lock.vm().has_cpu_dirty_log() {
            LogBy::DirtyBits
        } else {
            LogBy::WriteProtection
        };
        tdp_mmu::dirty::clear_dirty_masked(lock, slot, base, mask, log_by);
    }
}

/// Splits what huge pages `slot` has in `range`.
pub fn try_split(vm: &Vm, slot: &MemSlot, range: GfnRange, target: Level) {
    tdp_mmu::split::try_split_huge_pages::<Shared>(&mut vm.mmu_read(), slot, range, target);
}

/// As [`try_split`], with the lock held for write.
pub fn try_split_exclusive(vm: &Vm, slot: &MemSlot, range: GfnRange, target: Level) {
    tdp_mmu::split::try_split_huge_pages::<Exclusive>(&mut vm.mmu_write(), slot, range, target);
}

/// Makes huge pages of small ones.
pub fn recover(vm: &Vm, slot: &MemSlot) {
    tdp_mmu::recover::recover_huge_pages(&mut vm.mmu_read(), slot);
}

/// Makes `range` old in both address spaces. Returns whether it was accessed.
pub fn age(vm: &Vm, range: GfnRange) -> bool {
    any_space(range, |range| tdp_mmu::age::age_range(vm, range))
}

/// Whether `range` was accessed in either address space.
pub fn test_age(vm: &Vm, range: GfnRange) -> bool {
    any_space(range, |range| tdp_mmu::age::test_age_range(vm, range))
}

fn any_space(range: GfnRange, ask: impl Fn(SlotRange) -> bool) -> bool {
    let mut any = false;
    for address_space in SPACES {
        any |= ask(SlotRange {
            range,
            address_space,
            may_block: true,
        });
    }
    any
}

/// Starts tracking of writes to `gfn`.
pub fn write_track(vm: &Vm, gfn: Gfn) {
    let lock = vm.mmu_write();
    vm.set_write_tracked(gfn, true);
    for slot in vm.slots().iter().filter(|slot| slot.range().contains(gfn)) {
        let flush = tdp_mmu::dirty::write_protect_gfn(&lock, slot, gfn, Level::PG_4K);
        drop(flush);
    }
    drop(lock);
}

/// Zaps one of the tables that stand in the way of a huge page (the NX recovery worker).
pub fn zap_one_nx_table(vm: &Vm) -> bool {
    let lock = vm.mmu_read();
    let rcu = rcu::read_lock();
    let Some(id) = vm.possible_nx_huge_pages().first().copied() else {
        return false;
    };
    let page = VmPage::from_id(vm, id);
    let (cx, _) = Context::enter(&*lock, &rcu, &page).unwrap_or_else(|| panic!("its own VM"));
    let zapped = tdp_mmu::zap::zap_possible_nx_huge_page(cx, &page);
    if zapped {
        vm.flush_remote_tlbs();
    }
    zapped
}

/// The end: vCPUs put their roots, then the VM goes. Nothing may be left.
pub fn destroy(vm: &Arc<Vm>, vcpus: Vec<Vcpu>) {
    vcpus.iter().for_each(unload_root);
    tdp_mmu::roots::uninit(&SlotsLocked::new(vm));
    assert!(!vm.is_bugged(), "the VM is marked as broken");
    let left = vm.stats.pages.each_ref().map(|count| count.get());
    assert_eq!(left, [0; 5], "pages are left");
    assert_eq!(vm.machine.arena.in_use(), 0, "tables were not freed");
}

/// A VM's usual root role on the thread's machine.
pub fn role() -> Role {
    Role::root(Level::new(4).unwrap_or(Level::MAX))
}

/// That of vCPUs with more physical address bits than four levels translate.
pub fn role_of_five_levels() -> Role {
    Role::root(Level::MAX)
}
