// SPDX-License-Identifier: GPL-2.0

//! What is in the guest's pages, byte by byte, and what the kernel has written there.
//!
//! A model checker has no say in an access, unless a test has asked for that: see [`watch`](Memory::watch).

use crate::{
    atomic::{
        full_barrier,
        plain::{self, lock, Mutex},
        Arc, AtomicU8,
        Ordering::{self, AcqRel, Acquire, Relaxed, SeqCst},
    },
    kvm::types::Pfn,
};
use std::collections::BTreeMap;

/// A write of the kernel's to a page of the guest's: where in the page, and what.
pub type Written = (usize, Vec<u8>);

/// Where a byte is: the host's frame, and the offset.
type Place = (u64, usize);

/// A byte.
enum Byte {
    /// Each access is a choice for the checker.
    Watched(AtomicU8),
    /// None is.
    Plain(plain::AtomicU8),
}

impl Byte {
    fn load(&self, order: Ordering) -> u8 {
        match self {
            Self::Watched(byte) => byte.load(order),
            Self::Plain(byte) => byte.load(SeqCst),
        }
    }

    fn store(&self, value: u8) {
        match self {
            Self::Watched(byte) => byte.store(value, Relaxed),
            Self::Plain(byte) => byte.store(value, SeqCst),
        }
    }

    fn swap(&self, value: u8) -> u8 {
        match self {
            Self::Watched(byte) => byte.swap(value, AcqRel),
            Self::Plain(byte) => byte.swap(value, SeqCst),
        }
    }

    fn fetch_and(&self, bits: u8) -> u8 {
        match self {
            Self::Watched(byte) => byte.fetch_and(bits, AcqRel),
            Self::Plain(byte) => byte.fetch_and(bits, SeqCst),
        }
    }

    fn fetch_or(&self, bits: u8) -> u8 {
        match self {
            Self::Watched(byte) => byte.fetch_or(bits, AcqRel),
            Self::Plain(byte) => byte.fetch_or(bits, SeqCst),
        }
    }
}

/// The guest's memory. What nobody has written is zero.
#[derive(Default)]
pub struct Memory {
    bytes: Mutex<BTreeMap<Place, Arc<Byte>>>,
    written: Mutex<Vec<Written>>,
}

impl Memory {
    /// A model checker is to choose about each access to the byte at `offset` of `pfn`.
    pub fn watch(&self, pfn: Pfn, offset: usize) {
        let byte = Arc::new(Byte::Watched(AtomicU8::new(0)));
        lock(&self.bytes).insert((pfn.raw(), offset), byte);
    }

    fn at(&self, pfn: Pfn, offset: usize) -> Arc<Byte> {
        let mut bytes = lock(&self.bytes);
        let byte = bytes.entry((pfn.raw(), offset));
        byte.or_insert_with(|| Arc::new(Byte::Plain(plain::AtomicU8::new(0))))
            .clone()
    }

    /// The byte at `offset` of `pfn`. As on x86, what comes later is read later.
    pub fn byte(&self, pfn: Pfn, offset: usize) -> u8 {
        self.at(pfn, offset).load(Acquire)
    }

    /// The guest writes it.
    pub fn set_byte(&self, pfn: Pfn, offset: usize, value: u8) {
        self.at(pfn, offset).store(value);
    }

    /// The guest replaces it, by a locked instruction.
    pub fn swap_byte(&self, pfn: Pfn, offset: usize, value: u8) -> u8 {
        let old = self.at(pfn, offset).swap(value);
        full_barrier();
        old
    }

    /// The guest takes `bits` of it away, by a locked instruction. Returns whether one was set.
    pub fn take_bits(&self, pfn: Pfn, offset: usize, bits: u8) -> bool {
        let old = self.at(pfn, offset).fetch_and(!bits);
        full_barrier();
        old & bits != 0
    }

    /// The `N` bytes at `offset` of `pfn`.
    pub fn bytes<const N: usize>(&self, pfn: Pfn, offset: usize) -> [u8; N] {
        std::array::from_fn(|at| self.byte(pfn, offset + at))
    }

    /// The word at `offset` of `pfn`.
    pub fn word(&self, pfn: Pfn, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(pfn, offset))
    }

    /// The guest writes it.
    pub fn set_word(&self, pfn: Pfn, offset: usize, value: u32) {
        for (at, byte) in value.to_le_bytes().into_iter().enumerate() {
            self.set_byte(pfn, offset + at, byte);
        }
    }

    /// All bits of `pfn` that are set.
    pub fn bits(&self, pfn: Pfn) -> Vec<usize> {
        let bytes: Vec<_> = {
            let bytes = lock(&self.bytes);
            let bytes = bytes.range((pfn.raw(), 0)..(pfn.raw() + 1, 0));
            bytes.map(|((_, at), byte)| (*at, byte.clone())).collect()
        };
        let bits = |(at, byte): (usize, Arc<Byte>)| {
            let byte = byte.load(SeqCst);
            (8 * at..8 * at + 8).filter(move |bit| byte >> (bit % 8) & 1 != 0)
        };
        bytes.into_iter().flat_map(bits).collect()
    }

    /// All of `pfn` is zero.
    pub fn wipe(&self, pfn: Pfn) {
        lock(&self.bytes).retain(|(frame, _), _| *frame != pfn.raw());
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

    pub(super) fn test_and_set_bit(&self, pfn: Pfn, offset: usize, bit: usize) -> bool {
        // A longer operand could lie in two cache lines.
        assert!(bit < 8, "a split lock: bit {bit} from {offset:#x} on");
        let old = self.at(pfn, offset).fetch_or(1 << bit);
        full_barrier();
        old >> bit & 1 != 0
    }

    /// A load that nothing orders.
    pub(super) fn read(&self, pfn: Pfn, offset: usize) -> u8 {
        self.at(pfn, offset).load(Relaxed)
    }
}
