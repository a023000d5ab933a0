// SPDX-License-Identifier: GPL-2.0

//! What is in the guest's pages, byte by byte, and what the kernel has written there.
//!
//! A model checker has no say in these accesses.

use crate::{
    atomic::plain::{lock, Mutex},
    kvm::types::Pfn,
};
use std::collections::BTreeMap;

/// A write of the kernel's to a page of the guest's: where in the page, and what.
pub type Written = (usize, Vec<u8>);

/// The guest's memory. What nobody has written is zero.
#[derive(Default)]
pub struct Memory {
    bytes: Mutex<BTreeMap<(u64, usize), u8>>,
    written: Mutex<Vec<Written>>,
}

impl Memory {
    /// The byte at `offset` of `pfn`.
    pub fn byte(&self, pfn: Pfn, offset: usize) -> u8 {
        let bytes = lock(&self.bytes);
        bytes.get(&(pfn.raw(), offset)).copied().unwrap_or(0)
    }

    /// The guest writes it.
    pub fn set_byte(&self, pfn: Pfn, offset: usize, value: u8) {
        lock(&self.bytes).insert((pfn.raw(), offset), value);
    }

    /// The word at `offset` of `pfn`.
    pub fn word(&self, pfn: Pfn, offset: usize) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|at| self.byte(pfn, offset + at)))
    }

    /// The guest writes it.
    pub fn set_word(&self, pfn: Pfn, offset: usize, value: u32) {
        for (at, byte) in value.to_le_bytes().into_iter().enumerate() {
            self.set_byte(pfn, offset + at, byte);
        }
    }

    /// All that the kernel has written, which is forgotten then.
    pub fn take_written(&self) -> Vec<Written> {
        std::mem::take(&mut lock(&self.written))
    }

    pub(super) fn write(&self, pfn: Pfn, offset: usize, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            self.set_byte(pfn, offset + at, *byte);
        }
        lock(&self.written).push((offset, bytes.to_vec()));
    }
}
