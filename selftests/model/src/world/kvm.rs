// SPDX-License-Identifier: GPL-2.0

//! The part of KVM that stays in C and calls the TDP MMU, with the locks it holds and the flushes
//! it does, and the kernel that calls KVM.

use super::{
    cpu::{Access, Exit},
    variants::Variant,
};
pub use super::{log::*, notifier::invalidate, nx::*, slots::*};
use crate::{
    atomic::{plain::lock, retry, Arc, PoisonError},
    kvm::{
        fault::error, AddressSpace, Gfn, GfnRange, Level, Outcome, PageFault, PendingFlush, Role,
        Shared, SlotRange, SlotsLocked, State, Vcpu, Vm,
    },
    sync::rcu,
    tdp_mmu,
};

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
    try_access(vcpu, gfn, access, effect).expect("nobody collects from the dirty ring")
}

/// The vCPU's dirty ring is full.
#[derive(Debug)]
pub struct RingFull;

/// As above, until the vCPU's dirty ring is full.
pub fn try_access(
    vcpu: &Vcpu,
    gfn: Gfn,
    access: Access,
    effect: impl Fn(u64),
) -> Result<Option<u64>, RingFull> {
    let shared = vcpu.vm().machine.is_shared();
    let tries = if shared { MANY } else { ALONE };
    for attempt in 0..tries {
        let unseen = vcpu.vm().variants.has(Variant::RingFullUnseen);
        if vcpu.cpu.ring.is_soft_full() && !unseen {
            return Err(RingFull);
        }
        let done = vcpu.cpu.access(vcpu, gfn, access, |pfn| {
            effect(pfn);
            pfn
        });
        if done.is_err() {
            vcpu.cpu.drain_dirty_log(vcpu.vm());
        }
        match done {
            Ok(pfn) => return Ok(Some(pfn)),
            Err(Exit::LogFull) => {}
            Err(Exit::Mmio(spte)) if !is_stale_mmio(vcpu.vm(), spte) => return Ok(None),
            Err(Exit::NoRoot) => load_root(vcpu),
            Err(exit @ (Exit::Fault(_) | Exit::Mmio(_))) => {
                let error_code = error_code(access) | exit.error_code();
                match handle(vcpu, gfn, error_code, false) {
                    Outcome::Emulate | Outcome::WriteProtected => return Ok(None),
                    Outcome::Fixed => {}
                    // Somebody else is at it: has changed the entry, or is about to flush.
                    Outcome::Retry | Outcome::Spurious => retry(attempt),
                    failed => panic!("KVM_RUN fails at {gfn:?}: {failed:?}"),
                }
            }
        }
    }
    panic!("the guest does not get on at {gfn:?}");
}

/// Handles a fault that the CPU reports now.
pub fn fault(vcpu: &Vcpu, gfn: Gfn, access: Access) -> Outcome {
    handle(vcpu, gfn, error_code(access) | seen(vcpu, gfn), false)
}

/// Maps a frame that the guest did not ask for yet (`KVM_PRE_FAULT_MEMORY`).
pub fn prefetch(vcpu: &Vcpu, gfn: Gfn) -> Outcome {
    handle(vcpu, gfn, error_code(Access::Read), true)
}

fn handle(vcpu: &Vcpu, gfn: Gfn, error_code: u64, prefetch: bool) -> Outcome {
    let srcu = &vcpu.vm().srcu;
    let _srcu = srcu.read().unwrap_or_else(PoisonError::into_inner);
    tdp_mmu::fault::page_fault(PageFault::at(vcpu, gfn, error_code, prefetch))
}

/// The fast path alone.
pub fn fast_page_fault(vcpu: &Vcpu, gfn: Gfn, access: Access) -> bool {
    let error_code = error_code(access) | seen(vcpu, gfn);
    tdp_mmu::fast::page_fault(&PageFault::at(vcpu, gfn, error_code, false)).is_some()
}

/// What a CPU says of the entry for `gfn`, as bits of an error code.
fn seen(vcpu: &Vcpu, gfn: Gfn) -> u64 {
    let (rcu, mut found) = (rcu::read_lock(), None);
    let root = vcpu.root().expect("a root");
    let last = tdp_mmu::lookup::last_on_path(&rcu, &root, gfn);
    if let Some((at, State::Leaf(_))) = last {
        found = Some(at.spte);
    }
    Exit::Fault(found).error_code()
}

/// `KVM_SET_MEMORY_ATTRIBUTES`: the memory of `range` becomes private, and what it maps goes. The
/// tables stay.
pub fn make_private(vm: &Vm, range: GfnRange) {
    invalidate(vm, range, || vm.set_private(range));
}

/// `kvm_zap_gfn_range()`. The invalidation is C's own: the record has none of it.
pub fn zap_range(vm: &Vm, range: GfnRange) {
    let mut lock = vm.mmu_write();
    vm.invalidations.begin();
    vm.invalidations.add(range);
    let flush = tdp_mmu::zap::zap_range(&mut lock, range, PendingFlush::none(vm));
    drop(flush);
    vm.invalidations.end(false);
}

/// The "fast zap": all roots become invalid, vCPUs have to load new ones. Holds `slots_lock`.
pub fn zap_all_fast(vm: &Vm) {
    let slots = SlotsLocked::new(vm);
    let mmu_lock = vm.mmu_write();
    mmu_lock.invalidate_roots(&slots);
    // Under the lock: a notifier that comes next zaps invalid roots and does not flush for them.
    if !vm.variants.has(Variant::RootRequestLate) {
        request_roots(vm);
    }
    drop(mmu_lock);
    if vm.variants.has(Variant::RootRequestLate) {
        vm.breaks.run_hook();
        request_roots(vm);
    }
    tdp_mmu::roots::zap_invalidated_roots::<Shared>(&mut vm.mmu_read(), &slots);
}

/// Asks vCPUs to load another root, which they find before they enter the guest again, and waits
/// until all CPUs are out of it (`KVM_REQ_MMU_FREE_OBSOLETE_ROOTS`).
fn request_roots(vm: &Vm) {
    if vm.variants.has(Variant::RootRequestForgotten) {
        return;
    }
    let cpus = lock(&vm.cpus).clone();
    cpus.iter().for_each(|cpu| cpu.request_root());
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

/// The end: vCPUs put their roots, then the VM goes. Nothing may be left.
pub fn destroy(vm: &Arc<Vm>, vcpus: Vec<Vcpu>) {
    vcpus.iter().for_each(unload_root);
    tdp_mmu::roots::uninit(&SlotsLocked::new(vm));
    assert!(!vm.is_bugged(), "the VM is marked as broken");
    let left = vm.stats.pages.each_ref().map(|count| count.get());
    assert_eq!(left, [0; 5], "pages are left");
    let held = vm.stats.page_references.get();
    assert_eq!(held, 0, "references to pages are left");
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
