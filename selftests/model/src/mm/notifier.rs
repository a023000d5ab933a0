// SPDX-License-Identifier: GPL-2.0

//! What the host's callbacks get. The model's host is a test, which makes them itself.

use super::HostRange;
use std::marker::PhantomData;

/// The host has finished a change.
pub struct Ended<'a>(&'a HostRange);

impl<'a> Ended<'a> {
    /// A change of `range` ends.
    pub fn of(range: &'a HostRange) -> Self {
        Self(range)
    }

    /// What was changed.
    pub fn range(&self) -> HostRange {
        *self.0
    }
}

/// Nobody runs in the address space any more.
pub struct Released<'a>(PhantomData<&'a ()>);

impl Released<'_> {
    /// The address space goes.
    pub fn now() -> Self {
        Self(PhantomData)
    }
}
