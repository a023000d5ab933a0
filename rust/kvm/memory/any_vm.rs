// SPDX-License-Identifier: GPL-2.0

//! A VM of whichever backend and its memory slots, to be looked at.
//!
//! A backend shares C's data structures. So whoever only looks at roots, tables and slots needs not
//! know whose VM it is. What the module keeps for VMs of its own is out of reach here.

use super::memslot::MemSlot;
use crate::{
    kvm::types::{
        AddressSpace,
        Gfn,
        GfnRange,
        Level, //
    },
    mm::{
        intervals::{IntervalTree, Overlapping},
        HostRange, //
    },
    sync::srcu, //
};
use core::{
    marker::PhantomData,
    mem::{offset_of, size_of},
    ptr::NonNull, //
};
use kernel::types::{
    NotThreadSafe,
    Opaque, //
};
use kvm_bindings as bindings;

/// A `struct kvm` that uses a TDP MMU without mirror roots: the module's or C's.
///
/// # Invariants
///
/// A reference is valid while C keeps the VM alive. Its list of roots is initialised.
#[repr(transparent)]
pub struct AnyVm(Opaque<bindings::kvm>);

// SAFETY: Every method, of `Vm` too, takes the locks it needs, asks for a proof that they are held, or accesses single
// words or what does not change.
unsafe impl Sync for AnyVm {}

impl AnyVm {
    /// Borrows a VM from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be a VM with a TDP MMU and without mirror roots that is alive during `'a`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kvm) -> &'a Self {
        // SAFETY: The VM is alive during `'a`, and `AnyVm` is transparent over it.
        // INVARIANT: A VM with a TDP MMU has its list from its creation on.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    #[inline(always)]
    pub(in crate::kvm) fn as_ptr(&self) -> *mut bindings::kvm {
        self.0.get()
    }

    /// What tells an MMIO entry of this VM, under [`masks::mmio`](crate::kvm::spte::masks::mmio).
    #[inline(always)]
    pub fn mmio_value(&self) -> u64 {
        // SAFETY: The VM is alive; the field is set before its first vCPU.
        unsafe { (*self.as_ptr()).arch.shadow_mmio_value }
    }

    /// Whether the CPU logs dirty pages by itself (PML).
    #[inline(always)]
    pub fn has_cpu_dirty_log(&self) -> bool {
        // SAFETY: The VM is alive; the field does not change after its creation.
        unsafe { (*self.as_ptr()).arch.cpu_dirty_log_size != 0 }
    }

    /// How many pages of `level` the statistics say are mapped. `None` if the shadow MMU, whose
    /// pages are counted too, may have some.
    pub fn counted_pages(&self, level: Level) -> Option<i64> {
        // SAFETY: The VM is alive.
        let pages = unsafe { bindings::kvmrs_tdp_page_stats(self.as_ptr(), level.raw().into()) };
        (pages >= 0).then_some(pages)
    }

    /// How many tables the statistics say there are but for roots.
    pub fn counted_tables(&self) -> i64 {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_tdp_tables(self.as_ptr()) }
    }

    /// Lends `look` the VM's slots, in a read-side section of `kvm->srcu`.
    pub fn with_slots<R>(&self, look: impl FnOnce(&AnySlots<'_>) -> R) -> R {
        // SAFETY: The VM is alive, and `kvm->srcu` with it.
        let srcu = unsafe { srcu::from_raw(&raw mut (*self.as_ptr()).srcu) };
        let _section = srcu.read_lock();
        // SAFETY: The section lasts until `look` has returned.
        look(&unsafe { AnySlots::assume(self) })
    }

    /// Lends `look` the VM's slots while nobody may change slots, tables or entries: with
    /// `slots_lock`, and `mmu_lock` for write. The fast page-fault path and hardware still set bits.
    ///
    /// Waits for all readers of the slots, so it is not for [`with_slots`](Self::with_slots).
    pub fn hold_still<R>(&self, look: impl FnOnce(&AnySlots<'_>) -> R) -> R {
        // SAFETY: The VM is alive.
        unsafe { bindings::kvmrs_hold_still(self.as_ptr()) };
        // SAFETY: `slots_lock` is held until `look` has returned.
        let found = look(&unsafe { AnySlots::assume(self) });
        // SAFETY: The locks were taken above.
        unsafe { bindings::kvmrs_let_go(self.as_ptr()) };
        found
    }
}

/// The memslots of a VM, while they stay.
///
/// # Invariants
///
/// The current task is in a read-side section of `kvm->srcu`, or holds `kvm->slots_lock`, for as
/// long as the value exists.
pub struct AnySlots<'vm> {
    vm: &'vm AnyVm,
    _task: NotThreadSafe,
}

impl<'vm> AnySlots<'vm> {
    /// Takes note of what keeps the slots.
    ///
    /// # Safety
    ///
    /// The current task must be in a read-side section of `vm`'s SRCU, or hold its `slots_lock`,
    /// until the value is gone.
    #[inline(always)]
    unsafe fn assume(vm: &'vm AnyVm) -> Self {
        // INVARIANT: The section lasts, or the lock is held, until the value is gone.
        Self {
            vm,
            _task: NotThreadSafe,
        }
    }

    /// The VM whose slots they are.
    #[inline(always)]
    pub(in crate::kvm) fn vm(&self) -> &'vm AnyVm {
        self.vm
    }

    /// The slot that `gfn` lies in, in `address_space`.
    pub fn find(&self, address_space: AddressSpace, gfn: Gfn) -> Option<&MemSlot> {
        let vm = self.vm.as_ptr();
        // SAFETY: The VM is alive, and by the type's invariant its slots stay. The function looks whether
        // there is such an address space.
        let slot = unsafe { bindings::kvmrs_find_slot(vm, address_space.raw(), gfn.raw()) };
        // SAFETY: What was found stays while `self` is borrowed.
        unsafe { slot.cast::<MemSlot>().as_ref() }
    }

    /// The slots whose memory lies in `host`, of all address spaces, and which of their frames do.
    #[inline(always)]
    pub fn in_host_range(&self, host: HostRange) -> InHostRange<'_> {
        InHostRange {
            slots: self,
            host,
            address_space: 0,
            found: self.overlapping(0, host),
        }
    }

    /// Those of one address space, if there is such a one.
    #[inline(always)]
    fn overlapping(&self, address_space: i32, host: HostRange) -> Option<SlotsFound<'_>> {
        Some(self.of(address_space)?.overlapping(host))
    }

    /// The slots of one address space, if there is such a one.
    #[inline(always)]
    fn of(&self, address_space: i32) -> Option<SlotSet<'_>> {
        // SAFETY: The VM is alive, and by the type's invariant its slots stay.
        let set = unsafe { bindings::kvmrs_memslots(self.vm.as_ptr(), address_space) };
        // INVARIANT: They stay while `self` is borrowed.
        NonNull::new(set).map(|set| SlotSet(set, PhantomData))
    }
}

/// A `struct kvm_memslots`: the slots of one address space.
///
/// # Invariants
///
/// It was the active one of its address space. Neither it nor its slots change during `'s`, as C
/// changes a set that is no longer active only when nobody reads it any more.
struct SlotSet<'s>(NonNull<bindings::kvm_memslots>, PhantomData<&'s MemSlot>);

impl<'s> SlotSet<'s> {
    /// Those whose memory overlaps `host`, which is not empty.
    #[inline(always)]
    fn overlapping(self, host: HostRange) -> SlotsFound<'s> {
        let set = self.0.as_ptr();
        // SAFETY: By the type's invariant the set is there, and its tree does not change.
        let (tree, side) = unsafe {
            let tree = IntervalTree::from_raw(&raw mut (*set).hva_tree);
            (tree, (*set).node_idx as usize)
        };
        // INVARIANT: Each slot has a node for each of the two sets of its address space.
        SlotsFound {
            nodes: tree.overlapping(host.start, host.end.wrapping_sub(1)),
            place: offset_of!(bindings::kvm_memory_slot, hva_node)
                + side * size_of::<kernel::bindings::interval_tree_node>(),
        }
    }
}

/// The slots of a set that were looked for.
///
/// # Invariants
///
/// The nodes are those of slots that stay during `'s`, each at `place` of its slot.
#[derive(Clone)]
struct SlotsFound<'s> {
    nodes: Overlapping<'s>,
    place: usize,
}

impl<'s> Iterator for SlotsFound<'s> {
    type Item = &'s MemSlot;

    #[inline(always)]
    fn next(&mut self) -> Option<&'s MemSlot> {
        let node = self.nodes.next()?;
        // SAFETY: By the type's invariant the node lies at `place` of a slot, which stays.
        Some(unsafe { &*node.as_ptr().byte_sub(self.place).cast() })
    }
}

/// Walks the slots of all address spaces whose memory lies in a range of the host's.
///
/// The host's invalidations do so twice each, and often no slot is found. With adapters of iterators, one took 186
/// instructions more (emulated).
#[derive(Clone)]
pub struct InHostRange<'s> {
    slots: &'s AnySlots<'s>,
    host: HostRange,
    address_space: i32,
    found: Option<SlotsFound<'s>>,
}

impl<'s> Iterator for InHostRange<'s> {
    type Item = (&'s MemSlot, GfnRange);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        while let Some(found) = &mut self.found {
            if let Some(slot) = found.next() {
                return Some((slot, slot.frames_in(self.host)));
            }
            self.address_space += 1;
            self.found = self.slots.overlapping(self.address_space, self.host);
        }
        None
    }
}
