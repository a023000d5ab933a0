// SPDX-License-Identifier: GPL-2.0

//! The address spaces of a VM.

#![forbid(unsafe_code)]

/// One of a VM's address spaces, each of which has memory slots and page tables of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct AddressSpace(i32);

impl AddressSpace {
    /// That of vCPUs outside of system management mode.
    pub const NORMAL: Self = Self(0);
    /// That of vCPUs in system management mode.
    pub const SMM: Self = Self(1);

    /// The address space with C's number `as_id`.
    #[inline(always)]
    pub const fn new(as_id: i32) -> Self {
        Self(as_id)
    }

    /// C's number (`as_id`).
    #[inline(always)]
    pub const fn raw(self) -> i32 {
        self.0
    }
}
