// SPDX-License-Identifier: GPL-2.0

//! Memory slots, and the ranges within them that C asks about.

use crate::{
    kvm::types::{
        AddressSpace,
        Gfn,
        GfnRange,
        Level,
        PAGE_SHIFT, //
    },
    mm::HostRange, //
};
use kernel::types::Opaque;
use kvm_bindings as bindings;

/// A `struct kvm_memory_slot`: guest frames backed by one range of the VMM's address space.
///
/// # Invariants
///
/// A reference borrows from a [`SlotsHeld`](super::SlotsHeld) or an [`AnySlots`](super::AnySlots).
#[repr(transparent)]
pub struct MemSlot(Opaque<bindings::kvm_memory_slot>);

impl MemSlot {
    /// The C object.
    #[inline(always)]
    pub(in crate::kvm) fn as_ptr(&self) -> *mut bindings::kvm_memory_slot {
        self.0.get()
    }

    /// The address space that the slot belongs to.
    #[inline(always)]
    pub fn address_space(&self) -> AddressSpace {
        // SAFETY: The slot is alive, and the field does not change while it is.
        AddressSpace::new(unsafe { (*self.as_ptr()).as_id.into() })
    }

    /// The frames of the slot.
    #[inline(always)]
    pub fn range(&self) -> GfnRange {
        // SAFETY: The slot is alive, and these fields do not change while it is.
        let (start, pages) = unsafe { ((*self.as_ptr()).base_gfn, (*self.as_ptr()).npages) };
        GfnRange::sized(Gfn::new(start), pages as u64)
    }

    /// The host addresses behind the slot.
    #[inline(always)]
    pub fn host_range(&self) -> HostRange {
        // SAFETY: The slot is alive, and these fields do not change while it is.
        let (start, pages) = unsafe { ((*self.as_ptr()).userspace_addr, (*self.as_ptr()).npages) };
        HostRange::new(start, start.wrapping_add(pages << PAGE_SHIFT))
    }

    /// The frames of the slot of which any byte lies in `host`.
    #[inline]
    pub fn frames_in(&self, host: HostRange) -> GfnRange {
        let all = self.host_range();
        let part = host.within(all);
        if part.is_empty() {
            return GfnRange::sized(self.range().start, 0);
        }
        let frame = |address: usize| {
            let offset = address.wrapping_sub(all.start) as u64;
            self.range().start.add(offset >> PAGE_SHIFT)
        };
        GfnRange::new(
            frame(part.start),
            frame(part.end.wrapping_add((1 << PAGE_SHIFT) - 1)),
        )
    }

    /// The host's address of the page of `gfn`, if it lies in the slot and may be written.
    #[inline]
    pub fn writable_host_of(&self, gfn: Gfn) -> Option<usize> {
        if !self.range().contains(gfn) {
            return None;
        }
        // SAFETY: The slot is alive, and has the frame.
        let host = unsafe { bindings::gfn_to_hva_memslot(self.as_ptr(), gfn.raw()) };
        // SAFETY: No requirements.
        let none = unsafe { bindings::kvmrs_is_error_hva(host) };
        (!none).then_some(host)
    }

    /// Whether writes to the slot are logged.
    #[inline(always)]
    pub fn is_dirty_tracked(&self) -> bool {
        // SAFETY: The slot is alive.
        unsafe { bindings::kvmrs_slot_dirty_track_enabled(self.as_ptr()) }
    }

    /// Whether the slot is about to go, so that nothing new may be mapped.
    #[inline(always)]
    pub fn is_invalid(&self) -> bool {
        // SAFETY: The slot is alive.
        unsafe { bindings::kvmrs_slot_is_invalid(self.as_ptr()) }
    }

    /// Whether it is the page at which the guest finds its APIC.
    #[inline(always)]
    pub fn is_apic_access_page(&self) -> bool {
        // SAFETY: The slot is alive.
        unsafe { bindings::kvmrs_slot_is_apic_access_page(self.as_ptr()) }
    }

    /// Whether guest and host addresses are so aligned to each other that the slot can have pages
    /// of `level`.
    pub fn is_aligned_for(&self, level: Level) -> bool {
        // SAFETY: The slot is alive, and these fields do not change while it is.
        let (gfn, hva) = unsafe { ((*self.as_ptr()).base_gfn, (*self.as_ptr()).userspace_addr) };
        (gfn ^ (hva as u64 >> PAGE_SHIFT)) & (level.pages() - 1) == 0
    }

    /// Whether writes are logged in a bitmap of the slot's, if they are logged.
    #[inline(always)]
    pub fn has_dirty_bitmap(&self) -> bool {
        // SAFETY: The slot is alive, and the field does not change while it is.
        unsafe { !(*self.as_ptr()).dirty_bitmap.is_null() }
    }

    /// Whether the slot has a dirty bitmap, and the bit of `gfn`, which lies in the slot, is clear.
    pub fn is_logged_clean(&self, gfn: Gfn) -> bool {
        // SAFETY: The slot is alive, and its bitmap with it. The function checks that `gfn` lies in
        // the slot.
        unsafe { bindings::kvmrs_slot_is_logged_clean(self.as_ptr(), gfn.raw()) }
    }
}

/// What an mmu_notifier event, or an attribute change, asks for: a `struct kvm_gfn_range`.
#[derive(Clone, Copy)]
pub struct SlotRange {
    /// The frames.
    pub range: GfnRange,
    /// The address space of their slot.
    pub address_space: AddressSpace,
    /// Whether the walk may give way to others.
    pub may_block: bool,
}

impl SlotRange {
    /// Reads what C asks for.
    ///
    /// No [`SlotsHeld`](super::SlotsHeld) is asked for, because what guest_memfd takes away is
    /// guarded by its file's lock instead; the slot is looked at here and not kept.
    ///
    /// # Safety
    ///
    /// `ptr` and the slot in it must be valid.
    #[inline(always)]
    pub unsafe fn from_raw(ptr: *const bindings::kvm_gfn_range) -> Self {
        // SAFETY: The range and its slot are valid, and only read.
        unsafe {
            Self {
                range: GfnRange::new(Gfn::new((*ptr).start), Gfn::new((*ptr).end)),
                address_space: AddressSpace::new((*(*ptr).slot).as_id.into()),
                may_block: (*ptr).may_block,
            }
        }
    }
}

/// How C's walk of the shadow MMU excludes others.
#[derive(Clone, Copy)]
pub(in crate::kvm) enum ShadowWalk {
    /// By `mmu_lock`, which is held for write, and which it drops for a while if it may block.
    Locked { may_block: bool },
    /// Not by `mmu_lock`.
    Lockless,
}

/// What C's functions take for `frames` of `slot` that the host changes. Private memory is not the
/// host's.
///
/// `None` for no frames, or frames outside of the slot: C would look them up in the slot's arrays, and
/// the first before it looks whether there is one.
#[inline(always)]
pub(in crate::kvm) fn raw_range(
    slot: &MemSlot,
    frames: GfnRange,
    walk: ShadowWalk,
) -> Option<bindings::kvm_gfn_range> {
    let inside = !frames.is_empty() && slot.range().covers(frames);
    inside.then(|| bindings::kvm_gfn_range {
        slot: slot.as_ptr(),
        start: frames.start.raw(),
        end: frames.end.raw(),
        arg: bindings::kvm_mmu_notifier_arg { attributes: 0 },
        attr_filter: bindings::kvm_gfn_range_filter_KVM_FILTER_SHARED,
        may_block: matches!(walk, ShadowWalk::Locked { may_block: true }),
        lockless: matches!(walk, ShadowWalk::Lockless),
    })
}
