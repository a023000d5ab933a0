// SPDX-License-Identifier: GPL-2.0

//! What the MMU asks a vCPU, and what it refuses.

#![forbid(unsafe_code)]

use super::raw::{
    error,
    Vcpu,
    EPT_EXEC,
    EPT_USER_EXEC, //
};
use crate::kvm::{
    memory::SlotsHeld,
    roots::Root,
    spte::{Spte, PAGE_SIZE},
    types::{Access, Level}, //
};
use core::ptr;

impl Vcpu {
    /// Loads `root`, whose reference the vCPU takes over.
    ///
    /// One of another VM or with another role is refused, which marks the VM as broken. It may have
    /// become invalid: then the vCPU has been told to load another.
    pub fn set_root(&self, root: Root<'_>) {
        if !ptr::eq(root.vm(), self.vm()) || !root.role().serves(self.root_role()) {
            return self.vm().bug();
        }
        self.load(root);
    }

    /// The generation of the memslots that the vCPU sees. Those of another VM may be held, which
    /// marks the VM as broken.
    #[inline(always)]
    pub fn memslots_generation(&self, held: &SlotsHeld<'_>) -> u64 {
        if !ptr::eq(held.vm(), self.vm()) {
            self.vm().bug();
            return 0;
        }
        self.own_memslots_generation()
    }

    /// Whether the guest may do what `error_code` says through an entry that grants `access`.
    #[inline(always)]
    pub fn permits(&self, error_code: u64, access: Access) -> bool {
        const FAULT: u64 = error::WRITE | error::USER | error::FETCH;
        let index = ((error_code & FAULT) >> 1) as usize;
        self.format()
            .permissions
            .get(index)
            .is_some_and(|forbidden| forbidden >> access.raw() & 1 == 0)
    }

    /// The bits of `spte` that must be zero in an entry of `level` but are not.
    #[inline(always)]
    pub fn reserved_bits(&self, spte: Spte, level: Level) -> u64 {
        let huge = usize::from(spte.has(PAGE_SIZE));
        let format = self.format();
        let reserved = spte.raw() & format.rsvd_bits_mask[huge][usize::from(level.raw()) - 1];
        // The map of bad combinations knows one execute bit; EPT's second one, for user mode,
        // counts as the first.
        let mut xwr = spte.raw();
        if spte.has(EPT_USER_EXEC) {
            xwr |= EPT_EXEC;
        }
        let bad = format.bad_mt_xwr & (1 << (xwr & 0x3f));
        reserved | bad
    }
}
