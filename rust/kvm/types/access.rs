// SPDX-License-Identifier: GPL-2.0

//! What an access needs, and what an entry grants.

#![forbid(unsafe_code)]

/// A set of access rights in KVM's encoding (`ACC_*`), that of roles and permission checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Access(u32);

impl Access {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// To read.
    pub const READ: Self = Self(1);
    /// To write.
    pub const WRITE: Self = Self(2);
    /// To get there from user mode; on EPT: to execute in user mode.
    pub const USER: Self = Self(4);
    /// To execute; on EPT with mode-based control: in supervisor mode.
    pub const EXEC: Self = Self(8);

    /// The set with the encoding `raw`; bits without a meaning are dropped.
    #[inline(always)]
    pub const fn new(raw: u32) -> Self {
        Self(raw & 0xf)
    }

    /// The set's encoding.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Whether all of `needed` is granted.
    #[inline(always)]
    pub const fn grants(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The set with `more`.
    #[inline(always)]
    pub const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// The set without `less`.
    #[inline(always)]
    pub const fn without(self, less: Self) -> Self {
        Self(self.0 & !less.0)
    }
}
