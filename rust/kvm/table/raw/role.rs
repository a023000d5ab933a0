// SPDX-License-Identifier: GPL-2.0

//! `union kvm_mmu_page_role`, and its bits.

use crate::kvm::types::Level;
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

    /// All of it as one number, for comparisons.
    #[inline(always)]
    pub fn word(self) -> u32 {
        // SAFETY: Both views of the union are valid for all bits.
        unsafe { self.0.word }
    }

    /// The field whose bits the C compiler says are `mask`.
    #[inline(always)]
    fn field(self, mask: u32) -> u32 {
        (self.word() & mask) >> mask.trailing_zeros()
    }

    #[inline(always)]
    fn with_field(mut self, mask: u32, value: u32) -> Self {
        self.0.word = (self.word() & !mask) | (value << mask.trailing_zeros());
        self
    }

    #[inline(always)]
    pub(in crate::kvm::table) fn raw_level(self) -> u32 {
        self.field(bindings::ROLE_LEVEL_MASK)
    }

    #[inline(always)]
    pub(in crate::kvm::table) fn raw_access(self) -> u32 {
        self.field(bindings::ROLE_ACCESS_MASK)
    }

    /// Whether the tree is for system management mode.
    #[inline(always)]
    pub(in crate::kvm::table) fn is_smm(self) -> bool {
        self.field(bindings::ROLE_SMM_MASK) != 0
    }

    /// Whether the tree must no longer be loaded.
    #[inline(always)]
    pub fn is_invalid(self) -> bool {
        self.field(bindings::ROLE_INVALID_MASK) != 0
    }

    /// Whether a nested guest runs on the tree.
    #[inline(always)]
    pub fn is_guest_mode(self) -> bool {
        self.field(bindings::ROLE_GUEST_MODE_MASK) != 0
    }

    /// Whether accessed and dirty bits are off for the tree although the CPU may have them.
    #[inline(always)]
    pub fn is_ad_disabled(self) -> bool {
        self.field(bindings::ROLE_AD_DISABLED_MASK) != 0
    }

    /// The same role one level or more further down.
    #[inline(always)]
    pub(in crate::kvm::table) fn with_level(self, level: Level) -> Self {
        self.with_field(bindings::ROLE_LEVEL_MASK, level.raw().into())
    }

    #[inline(always)]
    pub(in crate::kvm) fn invalidated(self) -> Self {
        self.with_field(bindings::ROLE_INVALID_MASK, 1)
    }
}
