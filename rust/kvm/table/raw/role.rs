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

    #[inline(always)]
    pub(in crate::kvm::table) fn raw_level(self) -> u32 {
        self.bits().level()
    }

    #[inline(always)]
    pub(in crate::kvm::table) fn raw_access(self) -> u32 {
        self.bits().access()
    }

    /// Whether the tree is for system management mode.
    #[inline(always)]
    pub(in crate::kvm::table) fn is_smm(self) -> bool {
        self.bits().smm() != 0
    }

    /// Whether the tree must no longer be loaded.
    #[inline(always)]
    pub fn is_invalid(self) -> bool {
        self.bits().invalid() != 0
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

    /// The same role one level or more further down.
    #[inline(always)]
    pub(in crate::kvm::table) fn with_level(mut self, level: Level) -> Self {
        // SAFETY: Both views of the union are valid for all bits.
        unsafe { self.0.__bindgen_anon_1.set_level(level.raw().into()) };
        self
    }

    #[inline(always)]
    pub(in crate::kvm) fn invalidated(mut self) -> Self {
        // SAFETY: Both views of the union are valid for all bits.
        unsafe { self.0.__bindgen_anon_1.set_invalid(1) };
        self
    }
}
