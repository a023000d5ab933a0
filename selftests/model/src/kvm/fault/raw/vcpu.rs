// SPDX-License-Identifier: GPL-2.0

//! The vCPU, as far as its page faults go, with the CPU it runs on.

use super::format::Format;
use crate::{
    atomic::{
        plain::{lock, AtomicU32},
        Arc,
        Ordering::SeqCst,
    },
    kvm::{
        fault::outcome::{Counted, Outcome},
        lock::{MmuGuard, Shared},
        memory::{MemSlot, Vm},
        roots::Root,
        table::{Role, TableMemory, VmPage},
        types::Gfn,
    },
    lockdep,
    machine::arena::PageId,
    world::cpu::Cpu,
};

/// A vCPU whose task is the current one.
pub struct Vcpu {
    vm: Arc<Vm>,
    role: Role,
    root: AtomicU32,
    format: Format,
    /// The CPU that it always runs on.
    pub cpu: Arc<Cpu>,
}

impl Vcpu {
    /// Makes a vCPU of `vm` that needs roots with `role`.
    pub fn new(vm: &Arc<Vm>, role: Role) -> Self {
        let cpu = Arc::new(Cpu::default());
        lock(&vm.cpus).push(cpu.clone());
        Self {
            vm: vm.clone(),
            role,
            root: AtomicU32::new(PageId::NONE.raw()),
            format: Format::new(),
            cpu,
        }
    }

    /// The VM.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The role that the vCPU's root must have at present.
    pub fn root_role(&self) -> Role {
        self.role
    }

    /// The root that the vCPU has loaded.
    pub fn root(&self) -> Option<VmPage<'_>> {
        let id = PageId::from_raw(self.root.load(SeqCst));
        (id != PageId::NONE).then(|| VmPage::from_id(&self.vm, id))
    }

    /// Loads `root`, whose reference the vCPU takes over. Each load flushes.
    pub(in crate::kvm::fault) fn load(&self, root: Root<'_>) {
        let old = self.root.swap(root.into_id().raw(), SeqCst);
        assert_eq!(old, PageId::NONE.raw(), "the vCPU has a root already");
        self.cpu.flush(None);
    }

    /// Takes the root from the vCPU, whose reference the caller puts.
    pub(crate) fn take_root(&self) -> Option<Root<'_>> {
        let id = PageId::from_raw(self.root.swap(PageId::NONE.raw(), SeqCst));
        self.cpu.flush(None);
        (id != PageId::NONE).then(|| Root::from_id(&self.vm, id))
    }

    /// Takes an empty table from the vCPU's caches.
    pub fn alloc_table(&self) -> TableMemory {
        TableMemory::alloc(self.vm.machine.clone())
    }

    pub(in crate::kvm::fault) fn own_memslots_generation(&self) -> u64 {
        self.vm.generation()
    }

    /// Fills the caches that tables come from.
    pub fn fill_caches(&self) -> Result<(), Outcome> {
        lockdep::might_sleep("filling caches");
        Ok(())
    }

    /// Takes `mmu_lock` for read.
    pub fn mmu_read(&self) -> MmuGuard<'_, Shared> {
        self.vm.waits.run();
        self.vm.mmu_read()
    }

    /// Whether the vCPU runs a guest of its guest.
    pub fn is_guest_mode(&self) -> bool {
        self.role.is_guest_mode()
    }

    /// Counts one more.
    pub fn count(&self, counted: Counted) {
        self.vm.stats.faults[counted as usize].add(1);
    }

    pub(in crate::kvm::fault) fn mark_page_dirty_in(&self, slot: &MemSlot, gfn: Gfn) {
        self.cpu.mark_dirty(&self.vm, slot, gfn);
    }

    pub(in crate::kvm::fault) fn format(&self) -> &Format {
        &self.format
    }
}
