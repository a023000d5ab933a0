// SPDX-License-Identifier: GPL-2.0

//! What kind of guest state a tree of page tables serves.

#![forbid(unsafe_code)]

use super::raw::Role;
use crate::kvm::types::{
    Access,
    AddressSpace,
    Level, //
};

impl Role {
    /// The level of the page, if it is one that exists.
    #[inline(always)]
    pub fn level(self) -> Option<Level> {
        Level::new(self.raw_level())
    }

    /// The rights that the tree may grant.
    #[inline(always)]
    pub fn access(self) -> Access {
        Access::new(self.raw_access())
    }

    /// Whether a root with this role, valid or not, does for a vCPU that needs `needed`.
    #[inline(always)]
    pub(in crate::kvm) fn serves(self, needed: Self) -> bool {
        self.invalidated().word() == needed.invalidated().word()
    }

    /// Whether both are roles of one tree, at whatever level, and valid or not.
    pub fn is_of_same_tree(self, other: Self) -> bool {
        let same = |role: Self| role.invalidated().with_level(Level::MAX).word();
        same(self) == same(other)
    }

    /// The address space that the tree translates.
    #[inline(always)]
    pub fn address_space(self) -> AddressSpace {
        if self.is_smm() {
            AddressSpace::SMM
        } else {
            AddressSpace::NORMAL
        }
    }
}
