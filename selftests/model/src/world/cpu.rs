// SPDX-License-Identifier: GPL-2.0

//! A CPU that runs a guest: it walks the tables, keeps what it finds, and sets bits.
//!
//! Its TLB and its paging-structure cache forget nothing until they are flushed. An access is one
//! hold of the CPU's own lock; a flush takes the same lock, as an IPI waits until the CPU is out
//! of the guest. The CPU knows nothing of RCU and `mmu_lock`: a table that is freed while the
//! cache still leads to it is found poisoned. Nor does it know whether its root is valid: it goes on
//! with the root that it has until it is asked to leave the guest.

use super::{
    paging_cache::{overlaps, PagingCache},
    pml::{self, Pml},
    ring::Ring,
    variants::Variant,
};
use crate::{
    atomic::{lock, Mutex},
    kvm::{
        fault::error,
        spte::{masks, LeafSpte, READABLE},
        types::ENTRIES,
        Gfn, GfnRange, LeafBits, MemSlot, ShadowPage, Spte, Vcpu, Vm,
    },
    machine::arena::PageId,
};
use std::collections::BTreeMap;

/// What a guest does with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it.
    Write,
    /// Executes it.
    Fetch,
}

/// Why the guest cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// There is no root, or a request to load another one.
    NoRoot,
    /// The CPU's dirty log is full.
    LogFull,
    /// The tables do not allow it. The last entry that was found, if any.
    Fault(Option<Spte>),
    /// The entry says that it is MMIO.
    Mmio(Spte),
}

impl Exit {
    /// What the CPU says of the entry, as bits of an error code.
    pub(super) fn error_code(self) -> u64 {
        match self {
            // A CPU that finds any right finds the one to read.
            Self::Fault(Some(spte)) if spte.has(READABLE) => error::PRESENT,
            Self::Mmio(_) => error::RESERVED,
            _ => 0,
        }
    }
}

/// What a TLB holds.
#[derive(Clone, Copy, Debug)]
pub struct Translation {
    /// The leaf that was found, with the bits that the CPU set in it.
    pub leaf: LeafSpte,
}

impl Translation {
    pub(super) fn new(leaf: LeafSpte) -> Self {
        Self { leaf }
    }

    pub(super) fn permits(&self, access: Access) -> bool {
        let spte = self.leaf.spte();
        match access {
            Access::Read => spte.has(READABLE),
            Access::Write => spte.is_writable(),
            Access::Fetch if masks::nx() != 0 => spte.has(READABLE) && !spte.has(masks::nx()),
            Access::Fetch => spte.has(masks::exec()),
        }
    }
}

#[derive(Default)]
struct Caches {
    /// By the first frame of the page.
    leaves: BTreeMap<Gfn, Translation>,
    tables: PagingCache,
    /// What the CPU logs by itself, where it does.
    pml: Pml,
    /// Whether the vCPU has to load another root before it enters the guest again
    /// (`KVM_REQ_MMU_FREE_OBSOLETE_ROOTS`).
    root_is_obsolete: bool,
}

/// A CPU.
#[derive(Default)]
pub struct Cpu {
    caches: Mutex<Caches>,
    /// The dirty ring of its vCPU, in a VM that has rings.
    pub ring: Ring,
}

impl Cpu {
    /// Waits until the CPU is out of the guest and drops translations: all, or those of `range`.
    pub fn flush(&self, range: Option<GfnRange>) {
        let mut caches = lock(&self.caches);
        match range {
            None => caches.leaves.clear(),
            Some(range) => caches
                .leaves
                .retain(|gfn, held| !overlaps(*gfn, held.leaf.level(), range)),
        }
        caches.tables.flush(range);
    }

    /// Asks the vCPU to load another root, and waits until the CPU is out of the guest.
    pub fn request_root(&self) {
        lock(&self.caches).root_is_obsolete = true;
    }

    /// The vCPU has seen the request.
    pub(super) fn take_request(&self) {
        lock(&self.caches).root_is_obsolete = false;
    }

    /// Hands the CPU's own dirty log to those of the VM's slots: what KVM does at every exit.
    pub fn drain_dirty_log(&self, vm: &Vm) {
        let logged = lock(&self.caches).pml.take();
        if vm.variants.has(Variant::PmlDropped) && logged.len() == pml::ENTRIES {
            return;
        }
        for (space, gfn) in logged {
            vm.slot(space, gfn)
                .into_iter()
                .for_each(|slot| self.mark_dirty(vm, slot, gfn));
        }
    }

    /// `mark_page_dirty_in_slot()` by the CPU's vCPU.
    pub fn mark_dirty(&self, vm: &Vm, slot: &MemSlot, gfn: Gfn) {
        match vm.has_dirty_rings() {
            // Asked once: logging may begin meanwhile, and there is no bitmap.
            true if slot.is_dirty_tracked() => self.ring.push(slot.address_space(), gfn),
            true => {}
            false => slot.mark_dirty(gfn),
        }
    }

    /// All that the TLB holds.
    pub fn translations(&self) -> Vec<(Gfn, Translation)> {
        lock(&self.caches)
            .leaves
            .iter()
            .map(|(gfn, held)| (*gfn, *held))
            .collect()
    }

    /// The guest of `vcpu` accesses `gfn`. What the access does, with the frame it found, is up to
    /// `effect`, and over before any flush returns.
    pub fn access<R>(
        &self,
        vcpu: &Vcpu,
        gfn: Gfn,
        access: Access,
        effect: impl FnOnce(u64) -> R,
    ) -> Result<R, Exit> {
        let mut caches = lock(&self.caches);
        let root = vcpu.root().filter(|_| !caches.root_is_obsolete);
        let root = root.ok_or(Exit::NoRoot)?;
        let held = match caches.find(gfn, access) {
            Some(held) => held,
            None => caches.walk(vcpu.vm(), &root, gfn, access)?,
        };
        let offset = gfn.raw() & (held.leaf.level().pages() - 1);
        Ok(effect(held.leaf.spte().pfn().raw() + offset))
    }
}

impl Caches {
    fn find(&self, gfn: Gfn, access: Access) -> Option<Translation> {
        let (_, held) = self.leaves.range(..=gfn).next_back()?;
        let first = gfn.round_down(held.leaf.level());
        let held = *self.leaves.get(&first)?;
        // A write through an entry that is held as clean has to set the dirty bit first.
        let dirty = access != Access::Write
            || !held.leaf.spte().ad_enabled()
            || held.leaf.spte().has(LeafBits::dirty().mask());
        let covers = gfn < first.add(held.leaf.level().pages());
        (covers && dirty && held.permits(access)).then_some(held)
    }

    fn walk(
        &mut self,
        vm: &Vm,
        root: &ShadowPage,
        gfn: Gfn,
        access: Access,
    ) -> Result<Translation, Exit> {
        let arena = &vm.machine.arena;
        if gfn >= Gfn::new(root.level().table_pages()) {
            return Err(Exit::Fault(None));
        }
        let cached = self.tables.lowest(gfn);
        let mut table = cached.map_or(root, |id| arena.page(id));
        loop {
            let level = table.level();
            let index = (gfn.raw() >> level.shift()) as usize % ENTRIES;
            let cell = table.hardware_cell(index);
            let spte = cell.load();
            if !spte.is_present() {
                return Err(if vm.is_mmio_spte(spte) {
                    Exit::Mmio(spte)
                } else {
                    Exit::Fault(None)
                });
            }
            if spte.is_table(level) {
                let below = PageId::at(spte.raw() & masks::base_addr());
                self.tables.hold(level, gfn, below);
                table = arena.page(below);
                continue;
            }
            let marked = marked(spte, access);
            let held = Translation::new(LeafSpte::new(marked, level));
            if !held.permits(access) {
                return Err(Exit::Fault(Some(spte)));
            }
            let dirtied = marked.has(masks::dirty()) && !spte.has(masks::dirty());
            let logs = vm.has_cpu_dirty_log() && spte.ad_enabled() && dirtied;
            if logs && self.pml.is_full() {
                return Err(Exit::LogFull);
            }
            if marked != spte && !cell.hardware_exchange(spte, marked) {
                continue;
            }
            if logs {
                self.pml.push(root.role().address_space(), gfn);
            }
            self.hold(gfn.round_down(level), held);
            return Ok(held);
        }
    }

    /// Takes up a translation, in the place of those that it overlaps.
    fn hold(&mut self, gfn: Gfn, held: Translation) {
        let end = gfn.add(held.leaf.level().pages());
        self.leaves
            .retain(|other, leaf| other.add(leaf.leaf.level().pages()) <= gfn || end <= *other);
        self.leaves.insert(gfn, held);
    }
}

/// The leaf with the bits that an access sets.
fn marked(spte: Spte, access: Access) -> Spte {
    if !masks::ad_enabled() || !spte.ad_enabled() {
        return spte;
    }
    let written = access == Access::Write && spte.is_writable();
    let dirty = if written { masks::dirty() } else { 0 };
    spte.with(masks::accessed() | dirty)
}
