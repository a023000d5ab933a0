// SPDX-License-Identifier: GPL-2.0

//! The vCPU, as far as its page faults go, with the CPU it runs on.

use super::page_fault::error;
use crate::{
    atomic::{
        plain::{lock, AtomicU32},
        Arc,
        Ordering::SeqCst,
    },
    kvm::{
        memory::{MemSlot, SlotsHeld, Vm},
        roots::Root,
        spte::{masks, Spte, PAGE_SIZE},
        table::{Role, TableMemory, VmPage},
        types::{Access, Gfn, Level, PAGE_SHIFT},
    },
    machine::{arena::PageId, bits, MAXPHYADDR},
    world::cpu::Cpu,
};

/// A vCPU whose task is the current one.
pub struct Vcpu {
    vm: Arc<Vm>,
    role: Role,
    root: AtomicU32,
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
    pub fn set_root(&self, root: Root<'_>) {
        if !core::ptr::eq(root.vm(), self.vm()) || !root.role().serves(self.role) {
            return self.vm.bug();
        }
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

    /// The generation of the memslots that the vCPU sees.
    pub fn memslots_generation(&self, held: &SlotsHeld<'_>) -> u64 {
        if !core::ptr::eq(held.vm(), self.vm()) {
            self.vm.bug();
            return 0;
        }
        held.vm().generation()
    }

    /// Counts one more MMIO entry made.
    pub fn count_mmio_spte(&self) {
        self.vm.stats.mmio.add(1);
    }

    /// Notes in the dirty log that the vCPU may write to `gfn` from now on.
    pub fn mark_page_dirty(&self, slot: &MemSlot, gfn: Gfn) {
        self.cpu.mark_dirty(&self.vm, slot, gfn);
    }

    /// Whether the guest may do what `error_code` says through an entry that grants `access`.
    ///
    /// Each kind of access needs one right. NPT walks are user accesses; EPT knows no users.
    pub fn permits(&self, error_code: u64, access: Access) -> bool {
        let npt = masks::nx() != 0;
        let needed = match error_code & (error::WRITE | error::FETCH) {
            0 => Access::READ,
            error::WRITE => Access::WRITE,
            error::FETCH => Access::EXEC,
            _ => Access::WRITE.with(Access::EXEC),
        };
        let user = npt && error_code & error::USER != 0;
        access.grants(needed) && (!user || access.grants(Access::USER))
    }

    /// The bits of `spte` that must be zero in an entry of `level` but are not.
    pub fn reserved_bits(&self, spte: Spte, level: Level) -> u64 {
        let huge = spte.has(PAGE_SIZE) && level > Level::PG_4K;
        let beyond = bits(MAXPHYADDR, 51) & masks::base_addr();
        let offset = (level.pages() - 1) << PAGE_SHIFT;
        // Where a huge page's address has no bits, PAT lives on NPT.
        let offset = offset & !(1 << PAGE_SHIFT);
        let mut reserved = beyond | if huge { offset } else { 0 };
        if level > Level::MAX_HUGEPAGE {
            reserved |= PAGE_SIZE;
        }
        let bad_xwr = masks::nx() == 0 && matches!(spte.raw() & 7, 2 | 4 | 6);
        let bad_type = masks::nx() == 0 && huge | (level == Level::PG_4K) && {
            matches!(spte.raw() >> 3 & 7, 2 | 3 | 7)
        };
        spte.raw() & reserved | u64::from(bad_xwr | bad_type)
    }
}
