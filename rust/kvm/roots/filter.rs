// SPDX-License-Identifier: GPL-2.0

//! A choice among the roots of a VM.

#![forbid(unsafe_code)]

use crate::kvm::table::Role;

/// Which roots a walk is about.
#[derive(Clone, Copy)]
pub struct RootFilter {
    /// Only those of this address space.
    pub as_id: Option<i32>,
    /// Also those that are invalid but not gone yet.
    pub invalid: bool,
}

impl RootFilter {
    /// The roots that vCPUs may use.
    pub const VALID: Self = Self {
        as_id: None,
        invalid: false,
    };

    /// All roots that exist.
    pub const ALL: Self = Self {
        as_id: None,
        invalid: true,
    };

    /// Only those of address space `as_id`.
    #[inline(always)]
    pub const fn of(self, as_id: i32) -> Self {
        Self {
            as_id: Some(as_id),
            ..self
        }
    }

    #[inline(always)]
    pub(super) fn admits(self, role: Role) -> bool {
        (self.invalid || !role.is_invalid()) && self.as_id.is_none_or(|id| id == role.as_id())
    }
}
