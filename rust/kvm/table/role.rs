// SPDX-License-Identifier: GPL-2.0

//! What kind of guest state a tree of page tables serves.

use crate::kvm::types::{
    Access,
    AddressSpace,
    Level, //
};
use kvm_bindings as bindings;

/// A `union kvm_mmu_page_role`. Two roots are interchangeable if their roles are equal.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Role(bindings::kvm_mmu_page_role);

impl Role {
    #[inline(always)]
    pub(in crate::kvm) fn from_raw(raw: bindings::kvm_mmu_page_role) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(in crate::kvm) fn into_raw(self) -> bindings::kvm_mmu_page_role {
        self.0
    }

    #[inline(always)]
    fn bits(&self) -> &bindings::kvm_mmu_page_role__bindgen_ty_1 {
        // SAFETY: Both views of the union are valid for all bits.
        unsafe { &self.0.__bindgen_anon_1 }
    }

    /// All of it as one number, for comparisons.
    #[inline(always)]
    pub fn word(self) -> u32 {
        // SAFETY: Both views of the union are valid for all bits.
        unsafe { self.0.word }
    }

    /// The level of the page, if it is one that exists.
    #[inline(always)]
    pub fn level(self) -> Option<Level> {
        Level::new(self.bits().level())
    }

    /// The same role one level or more further down.
    #[inline(always)]
    pub(super) fn with_level(mut self, level: Level) -> Self {
        // SAFETY: Both views of the union are valid for all bits.
        unsafe { self.0.__bindgen_anon_1.set_level(level.raw().into()) };
        self
    }

    /// The rights that the tree may grant.
    #[inline(always)]
    pub fn access(self) -> Access {
        Access::new(self.bits().access())
    }

    /// Whether the tree must no longer be loaded.
    #[inline(always)]
    pub fn is_invalid(self) -> bool {
        self.bits().invalid() != 0
    }

    /// Whether a root with this role, valid or not, does for a vCPU that needs `needed`.
    #[inline(always)]
    pub(in crate::kvm) fn serves(self, needed: Self) -> bool {
        self.invalidated().word() == needed.invalidated().word()
    }

    #[inline(always)]
    pub(in crate::kvm) fn invalidated(mut self) -> Self {
        // SAFETY: Both views of the union are valid for all bits.
        unsafe { self.0.__bindgen_anon_1.set_invalid(1) };
        self
    }

    /// Whether both are roles of one tree, at whatever level, and valid or not.
    pub fn is_of_same_tree(self, other: Self) -> bool {
        let same = |role: Self| role.invalidated().with_level(Level::MAX).word();
        same(self) == same(other)
    }

    /// Whether a nested guest runs on the tree.
    #[inline(always)]
    pub fn is_guest_mode(self) -> bool {
        self.bits().guest_mode() != 0
    }

    /// Whether accessed and dirty bits are off for the tree although the CPU may have them.
    #[inline(always)]
    pub fn is_ad_disabled(self) -> bool {
        self.bits().ad_disabled() != 0
    }

    /// The address space that the tree translates.
    #[inline(always)]
    pub fn address_space(self) -> AddressSpace {
        if self.bits().smm() != 0 {
            AddressSpace::SMM
        } else {
            AddressSpace::NORMAL
        }
    }
}
