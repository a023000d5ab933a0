// SPDX-License-Identifier: GPL-2.0

//! What kind of guest state a tree of page tables serves: bits of one word, as in the kernel.

use crate::kvm::{
    spte::masks,
    types::{Access, Level},
};

const LEVEL: u32 = 0xf;
const ACCESS_SHIFT: u32 = 4;
const ACCESS: u32 = 0xf;
const INVALID: u32 = 1 << 8;
const GUEST_MODE: u32 = 1 << 9;
const AD_DISABLED: u32 = 1 << 10;
const SMM: u32 = 1 << 11;

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role(u32);

impl Role {
    /// The role of a root of `level` that may grant everything, for the normal address space.
    pub fn root(level: Level) -> Self {
        let ad = if masks::ad_enabled() { 0 } else { AD_DISABLED };
        Self(u32::from(level.raw()) | ACCESS << ACCESS_SHIFT | ad)
    }

    /// The same in system management mode.
    pub fn smm(self) -> Self {
        Self(self.0 | SMM)
    }

    /// The same for a nested guest.
    pub fn guest_mode(self) -> Self {
        Self(self.0 | GUEST_MODE)
    }

    /// The same without accessed and dirty bits.
    pub fn without_ad(self) -> Self {
        Self(self.0 | AD_DISABLED)
    }

    /// The same granting `access`.
    pub fn with_access(self, access: Access) -> Self {
        Self(self.0 & !(ACCESS << ACCESS_SHIFT) | access.raw() << ACCESS_SHIFT)
    }

    pub(in crate::kvm) fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// All of it as one number.
    pub fn word(self) -> u32 {
        self.0
    }

    pub(in crate::kvm::table) fn raw_level(self) -> u32 {
        self.0 & LEVEL
    }

    pub(in crate::kvm::table) fn raw_access(self) -> u32 {
        self.0 >> ACCESS_SHIFT & ACCESS
    }

    pub(in crate::kvm::table) fn is_smm(self) -> bool {
        self.0 & SMM != 0
    }

    /// The same role one level or more further down.
    pub fn with_level(self, level: Level) -> Self {
        Self(self.0 & !LEVEL | u32::from(level.raw()))
    }

    /// Whether the tree must no longer be loaded.
    pub fn is_invalid(self) -> bool {
        self.0 & INVALID != 0
    }

    pub(in crate::kvm) fn invalidated(self) -> Self {
        Self(self.0 | INVALID)
    }

    /// Whether a nested guest runs on the tree.
    pub fn is_guest_mode(self) -> bool {
        self.0 & GUEST_MODE != 0
    }

    /// Whether accessed and dirty bits are off for the tree.
    pub fn is_ad_disabled(self) -> bool {
        self.0 & AD_DISABLED != 0
    }
}
