// SPDX-License-Identifier: GPL-2.0

//! Mistakes that the model's C code makes if a test asks for it.
//!
//! Each is an order or an omission that somebody could think is right. The test then expects the
//! failure that shows that it is not.

use crate::atomic::plain::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Nobody asks vCPUs whose roots became invalid to load others.
    RootRequestForgotten,
    /// They are asked after `mmu_lock` was dropped.
    RootRequestLate,
    /// A CPU's own dirty log that is full begins anew, and nobody has read it.
    PmlDropped,
}

/// The mistakes that are made in a VM.
#[derive(Default)]
pub struct Mistakes(AtomicU64);

impl Mistakes {
    /// Makes `mistake` from now on.
    pub fn make(&self, mistake: Mistake) {
        self.0.fetch_or(1 << mistake as u32, SeqCst);
    }

    pub(crate) fn has(&self, mistake: Mistake) -> bool {
        self.0.load(SeqCst) & 1 << mistake as u32 != 0
    }
}
