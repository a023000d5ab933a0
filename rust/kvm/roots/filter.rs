// SPDX-License-Identifier: GPL-2.0

//! A choice among the roots of a VM.

#![forbid(unsafe_code)]

use crate::kvm::{
    table::Role,
    types::AddressSpace, //
};

/// Which roots a walk is about.
#[derive(Clone, Copy)]
pub struct RootFilter {
    /// Only those of this address space.
    address_space: Option<AddressSpace>,
    /// Also those that are invalid but not gone yet.
    invalid: bool,
}

impl RootFilter {
    /// The roots that vCPUs may use.
    pub const VALID: Self = Self {
        address_space: None,
        invalid: false,
    };

    /// All roots that exist.
    pub const ALL: Self = Self {
        address_space: None,
        invalid: true,
    };

    /// Of these, only those of `address_space`.
    #[inline(always)]
    pub const fn of(self, address_space: AddressSpace) -> Self {
        Self {
            address_space: Some(address_space),
            ..self
        }
    }

    #[inline(always)]
    pub(super) fn admits(self, role: Role) -> bool {
        (self.invalid || !role.is_invalid())
            && self
                .address_space
                .is_none_or(|space| space == role.address_space())
    }
}
