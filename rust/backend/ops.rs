// SPDX-License-Identifier: GPL-2.0

//! The entry points that kvm.ko calls, one for each function of the TDP MMU.
//!
//! Each turns raw pointers into safe values, once, and states by its types which locks its caller
//! holds. What the caller must hold is C's rule for the function of the same name in
//! `arch/x86/kvm/mmu/tdp_mmu.h`; lockdep checks it where it is switched on. Where a slot is
//! an argument, `kvm->srcu` or `slots_lock` is held.

use crate::{
    kvm::{
        Context,
        Exclusive,
        Gfn,
        GfnRange,
        Level,
        MmuLock,
        Outcome,
        PageFault,
        PendingFlush,
        Root,
        ShadowPage,
        Shared,
        SlotRange,
        SlotsHeld,
        Vcpu,
        Vm, //
    },
    sync::rcu::CallerHolds,
    tdp_mmu::{self, dirty::LogBy}, //
};
use kernel::ffi::{c_int, c_ulong};
use kvm_bindings as bindings;

/// A level that C passes as an int. C asks for nothing outside of 4K to 1G; whatever else it were
/// is a bug of the VM's.
fn huge_level(vm: &Vm, raw: c_int) -> Option<Level> {
    let level = u32::try_from(raw)
        .ok()
        .and_then(Level::new)
        .filter(|level| *level <= Level::MAX_HUGEPAGE);
    if level.is_none() {
        vm.bug();
    }
    level
}

/// # Safety
///
/// `kvm` is a VM under construction that nobody else uses.
pub(super) unsafe extern "C" fn init_vm(kvm: *mut bindings::kvm) -> c_int {
    // SAFETY: The caller promises it.
    unsafe { Vm::from_raw(kvm).init_roots() };
    0
}

/// # Safety
///
/// `kvm` is a VM that nobody else uses any more. No locks are held; may sleep.
pub(super) unsafe extern "C" fn uninit_vm(kvm: *mut bindings::kvm) {
    // SAFETY: The caller promises it.
    tdp_mmu::roots::uninit(unsafe { Vm::from_raw(kvm) });
}

/// # Safety
///
/// `vcpu` is loaded by the current task, its caches are filled, and `mmu_lock` is not held.
pub(super) unsafe extern "C" fn alloc_root(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The caller promises it.
    tdp_mmu::roots::load_root(unsafe { Vcpu::from_raw(vcpu) });
}

/// # Safety
///
/// `root` is a root of `kvm`, and the caller owns the reference that is put. `mmu_lock` is held
/// for read.
pub(super) unsafe extern "C" fn put_root(
    kvm: *mut bindings::kvm,
    root: *mut bindings::kvm_mmu_page,
) {
    // SAFETY: The caller promises it.
    drop(unsafe { Root::from_raw(Vm::from_raw(kvm), root) });
}

/// # Safety
///
/// `kvm` is alive; `slots_lock` and `mmu_lock`, for write, are held.
pub(super) unsafe extern "C" fn invalidate_roots(kvm: *mut bindings::kvm) {
    // SAFETY: The caller promises it.
    unsafe { MmuLock::<Exclusive>::assume_held(Vm::from_raw(kvm)) }.invalidate_roots();
}

/// # Safety
///
/// `kvm` is alive; `slots_lock` is held, `mmu_lock` is not.
pub(super) unsafe extern "C" fn zap_invalidated_roots(kvm: *mut bindings::kvm, shared: bool) {
    // SAFETY: The caller promises it.
    let vm = unsafe { Vm::from_raw(kvm) };
    if shared {
        tdp_mmu::roots::zap_invalidated_roots(&mut *vm.mmu_read());
    } else {
        tdp_mmu::roots::zap_invalidated_roots(&mut *vm.mmu_write());
    }
}

/// # Safety
///
/// `vcpu` is loaded by the current task, its caches are filled; `fault` is its fault, with a pfn
/// that is current. `mmu_lock` is held for read, and `kvm->srcu`.
pub(super) unsafe extern "C" fn map(
    vcpu: *mut bindings::kvm_vcpu,
    fault: *mut bindings::kvm_page_fault,
) -> c_int {
    // SAFETY: The caller promises it.
    let vcpu = unsafe { Vcpu::from_raw(vcpu) };
    // SAFETY: As above.
    let (lock, slots) = unsafe {
        let vm = vcpu.vm();
        (MmuLock::<Shared>::assume_held(vm), SlotsHeld::assume(vm))
    };
    // SAFETY: As above; C looked the slot up under the `kvm->srcu` that is held still.
    let mut fault = unsafe { PageFault::from_raw(fault, &slots) };
    let outcome = match vcpu.root() {
        Some(root) => tdp_mmu::map::map(vcpu, &lock, root, &mut fault),
        None => Outcome::Retry,
    };
    outcome as c_int
}

/// # Safety
///
/// `vcpu` is loaded by the current task, which is in an RCU read-side section. `sptes` has room
/// for an entry of each level, indexed by level.
pub(super) unsafe extern "C" fn get_walk(
    vcpu: *mut bindings::kvm_vcpu,
    addr: u64,
    sptes: *mut u64,
    root_level: *mut c_int,
) -> c_int {
    // SAFETY: The caller promises it.
    let (vcpu, rcu) = unsafe { (Vcpu::from_raw(vcpu), CallerHolds::new()) };
    let top = vcpu.root_role().level().map_or(0, Level::raw);
    // SAFETY: The caller promises it.
    unsafe { *root_level = top.into() };

    let mut leaf = -1;
    if let Some(root) = vcpu.root() {
        tdp_mmu::lookup::for_each_on_path(vcpu.vm(), &rcu, root, Gfn::of_addr(addr), |place| {
            leaf = place.level.raw().into();
            // SAFETY: The caller has room for each level.
            unsafe { *sptes.add(place.level.raw().into()) = place.spte.raw() };
        });
    }
    leaf
}

/// # Safety
///
/// `vcpu` is loaded by the current task, which is in an RCU read-side section that lasts for as
/// long as the result is used. `spte` can be written to.
pub(super) unsafe extern "C" fn fast_pf_get_last_sptep(
    vcpu: *mut bindings::kvm_vcpu,
    gfn: u64,
    spte: *mut u64,
) -> *mut u64 {
    // SAFETY: The caller promises it.
    let (vcpu, rcu) = unsafe { (Vcpu::from_raw(vcpu), CallerHolds::new()) };
    let mut last = core::ptr::null_mut();
    if let Some(root) = vcpu.root() {
        tdp_mmu::lookup::for_each_on_path(vcpu.vm(), &rcu, root, Gfn::new(gfn), |place| {
            last = place.cell.as_ptr();
            // SAFETY: The caller promises it.
            unsafe { *spte = place.spte.raw() };
        });
    }
    last
}

/// # Safety
///
/// `kvm` is alive, `range` and its slot are valid, `mmu_lock` is held for write.
pub(super) unsafe extern "C" fn unmap_gfn_range(
    kvm: *mut bindings::kvm,
    range: *mut bindings::kvm_gfn_range,
    flush: bool,
) -> bool {
    // SAFETY: The caller promises it.
    let (vm, range) = unsafe { (Vm::from_raw(kvm), SlotRange::from_raw(range)) };
    // SAFETY: As above.
    let mut lock = unsafe { MmuLock::<Exclusive>::assume_held(vm) };
    let flush = PendingFlush::from_caller(vm, flush);
    tdp_mmu::zap::unmap_range(&mut lock, range, flush).into_caller()
}

/// # Safety
///
/// `kvm` is alive, `range` and its slot are valid.
pub(super) unsafe extern "C" fn age_gfn_range(
    kvm: *mut bindings::kvm,
    range: *mut bindings::kvm_gfn_range,
) -> bool {
    // SAFETY: The caller promises it.
    let (vm, range) = unsafe { (Vm::from_raw(kvm), SlotRange::from_raw(range)) };
    tdp_mmu::age::age_range(vm, range)
}

/// # Safety
///
/// `kvm` is alive, `range` and its slot are valid.
pub(super) unsafe extern "C" fn test_age_gfn(
    kvm: *mut bindings::kvm,
    range: *mut bindings::kvm_gfn_range,
) -> bool {
    // SAFETY: The caller promises it.
    let (vm, range) = unsafe { (Vm::from_raw(kvm), SlotRange::from_raw(range)) };
    tdp_mmu::age::test_age_range(vm, range)
}

/// # Safety
///
/// `kvm` is alive, `mmu_lock` is held for write.
pub(super) unsafe extern "C" fn zap_leafs(
    kvm: *mut bindings::kvm,
    start: u64,
    end: u64,
    flush: bool,
) -> bool {
    // SAFETY: The caller promises it.
    let vm = unsafe { Vm::from_raw(kvm) };
    // SAFETY: As above.
    let mut lock = unsafe { MmuLock::<Exclusive>::assume_held(vm) };
    let range = GfnRange::new(Gfn::new(start), Gfn::new(end));
    let flush = PendingFlush::from_caller(vm, flush);
    tdp_mmu::zap::zap_range(&mut lock, range, flush).into_caller()
}

/// # Safety
///
/// `kvm` is alive, `mmu_lock` is held for write.
pub(super) unsafe extern "C" fn zap_all(kvm: *mut bindings::kvm) {
    // SAFETY: The caller promises it.
    let mut lock = unsafe { MmuLock::assume_held(Vm::from_raw(kvm)) };
    tdp_mmu::zap::zap_all(&mut lock);
}

/// # Safety
///
/// `kvm` is alive, `mmu_lock` is held for read, and an RCU read-side section is open in which `sp`
/// was found on the list of possible NX huge pages. The caller flushes before it ends.
pub(super) unsafe extern "C" fn zap_possible_nx_huge_page(
    kvm: *mut bindings::kvm,
    sp: *mut bindings::kvm_mmu_page,
) -> bool {
    // SAFETY: The caller promises it.
    let (vm, page, rcu) = unsafe {
        (
            Vm::from_raw(kvm),
            ShadowPage::from_raw(sp),
            CallerHolds::new(),
        )
    };
    if !page.is_tdp_mmu_page() {
        vm.bug();
        return false;
    }
    // SAFETY: As above.
    let lock = unsafe { MmuLock::<Shared>::assume_held(vm) };
    tdp_mmu::zap::zap_possible_nx_huge_page(Context::new(&lock, &rcu, page.role()), page)
}

/// # Safety
///
/// `kvm` is alive, `slot` is valid, `mmu_lock` is held for read.
pub(super) unsafe extern "C" fn wrprot_slot(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
    min_level: c_int,
) -> bool {
    // SAFETY: The caller promises it.
    let slots = unsafe { SlotsHeld::assume(Vm::from_raw(kvm)) };
    // SAFETY: As above.
    let (vm, slot) = (slots.vm(), unsafe { slots.slot(slot) });
    let Some(level) = huge_level(vm, min_level) else {
        return false;
    };
    // SAFETY: As above.
    let mut lock = unsafe { MmuLock::assume_held(vm) };
    tdp_mmu::dirty::write_protect_slot(&mut lock, slot, level)
}

/// # Safety
///
/// `kvm` is alive, `slot` is valid, `mmu_lock` is held for read.
pub(super) unsafe extern "C" fn clear_dirty_slot(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
) {
    // SAFETY: The caller promises it.
    let slots = unsafe { SlotsHeld::assume(Vm::from_raw(kvm)) };
    // SAFETY: As above.
    let (vm, slot) = (slots.vm(), unsafe { slots.slot(slot) });
    // SAFETY: As above.
    let mut lock = unsafe { MmuLock::assume_held(vm) };
    tdp_mmu::dirty::clear_dirty_slot(&mut lock, slot);
}

/// # Safety
///
/// `kvm` is alive, `slot` is valid, `mmu_lock` is held for write.
pub(super) unsafe extern "C" fn clear_dirty_pt_masked(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
    gfn: u64,
    mask: c_ulong,
    wrprot: bool,
) {
    // SAFETY: The caller promises it.
    let slots = unsafe { SlotsHeld::assume(Vm::from_raw(kvm)) };
    // SAFETY: As above.
    let (vm, slot) = (slots.vm(), unsafe { slots.slot(slot) });
    // SAFETY: As above.
    let lock = unsafe { MmuLock::assume_held(vm) };
    let log_by = if wrprot {
        LogBy::WriteProtection
    } else {
        LogBy::DirtyBits
    };
    tdp_mmu::dirty::clear_dirty_masked(&lock, slot, Gfn::new(gfn), mask as u64, log_by);
}

/// # Safety
///
/// `kvm` is alive, `slot` is valid, `mmu_lock` is held for write. The caller flushes if the answer
/// is true.
pub(super) unsafe extern "C" fn write_protect_gfn(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
    gfn: u64,
    min_level: c_int,
) -> bool {
    // SAFETY: The caller promises it.
    let slots = unsafe { SlotsHeld::assume(Vm::from_raw(kvm)) };
    // SAFETY: As above.
    let (vm, slot) = (slots.vm(), unsafe { slots.slot(slot) });
    let Some(level) = huge_level(vm, min_level) else {
        return false;
    };
    // SAFETY: As above.
    let lock = unsafe { MmuLock::assume_held(vm) };
    tdp_mmu::dirty::write_protect_gfn(&lock, slot, Gfn::new(gfn), level).into_caller()
}

/// # Safety
///
/// `kvm` is alive, `slot` is valid, `mmu_lock` is held for read if `shared`, else for write.
pub(super) unsafe extern "C" fn try_split_huge_pages(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
    start: u64,
    end: u64,
    target_level: c_int,
    shared: bool,
) {
    // SAFETY: The caller promises it.
    let slots = unsafe { SlotsHeld::assume(Vm::from_raw(kvm)) };
    // SAFETY: As above.
    let (vm, slot) = (slots.vm(), unsafe { slots.slot(slot) });
    let Some(target) = huge_level(vm, target_level) else {
        return;
    };
    let range = GfnRange::new(Gfn::new(start), Gfn::new(end));
    // SAFETY: As above, for both.
    unsafe {
        if shared {
            let mut lock = MmuLock::<Shared>::assume_held(vm);
            tdp_mmu::split::try_split_huge_pages(&mut lock, slot, range, target);
        } else {
            let mut lock = MmuLock::<Exclusive>::assume_held(vm);
            tdp_mmu::split::try_split_huge_pages(&mut lock, slot, range, target);
        }
    }
}

/// # Safety
///
/// `kvm` is alive, `slot` is valid, `mmu_lock` is held for read, and `slots_lock`.
pub(super) unsafe extern "C" fn recover_huge_pages(
    kvm: *mut bindings::kvm,
    slot: *const bindings::kvm_memory_slot,
) {
    // SAFETY: The caller promises it.
    let slots = unsafe { SlotsHeld::assume(Vm::from_raw(kvm)) };
    // SAFETY: As above.
    let (vm, slot) = (slots.vm(), unsafe { slots.slot(slot) });
    // SAFETY: As above.
    let mut lock = unsafe { MmuLock::assume_held(vm) };
    tdp_mmu::recover::recover_huge_pages(&mut lock, slot);
}
