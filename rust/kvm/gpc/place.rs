// SPDX-License-Identifier: GPL-2.0

//! Where a pfn cache is: the guest's address and the host's.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use crate::{
    kvm::{
        memory::{MemSlot, SlotsHeld, Vm},
        types::{AddressSpace, Gfn, PAGE_SHIFT}, //
    },
    mm::HostRange, //
};
use core::ptr;

/// Bytes of a page. What is cached lies within one.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;

/// Four bytes that may lie anywhere: some of C's structs are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed)]
pub struct PackedWord(pub u32);

/// Why a cache is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not in use.
    Inactive,
    /// What is wanted does not lie within a page.
    Length,
    /// There is no page, or none that may be written.
    NoPage,
    /// The task is being killed while it waits.
    Killed,
    /// The task has another address space than the VM, or one that goes, or the memory slots are another
    /// VM's.
    Foreign,
}

/// The address that a cache is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// One of the guest's. The memory slots say where the host has it.
    Guest(u64),
    /// One of the host's, whatever the memory slots say.
    Host(usize),
}

impl Address {
    /// Where in its page it is.
    #[inline(always)]
    pub fn offset(self) -> usize {
        let address = match self {
            Self::Guest(address) => address as usize,
            Self::Host(address) => address,
        };
        address % PAGE_SIZE
    }

    /// The address `bytes` further on.
    #[inline(always)]
    pub fn after(self, bytes: usize) -> Self {
        match self {
            Self::Guest(address) => Self::Guest(address.wrapping_add(bytes as u64)),
            Self::Host(address) => Self::Host(address.wrapping_add(bytes)),
        }
    }

    /// Whether `len` bytes from there on lie within a page.
    #[inline(always)]
    pub fn fits(self, len: usize) -> bool {
        let end = self.offset().checked_add(len);
        end.is_some_and(|end| end <= PAGE_SIZE)
    }
}

/// The page around an address of the host.
#[inline(always)]
pub(in crate::kvm::gpc) fn page_around(address: usize) -> HostRange {
    let start = address - address % PAGE_SIZE;
    HostRange::new(start, start.wrapping_add(PAGE_SIZE))
}

/// Where a cache is to be.
///
/// # Invariants
///
/// `host` is where the host has `address`, if it is there at all, by `slot`. That was found in the slots
/// of `generation`, or in newer ones. Those never have that generation.
pub(in crate::kvm::gpc) struct Place<'s> {
    pub(in crate::kvm::gpc) address: Address,
    pub(in crate::kvm::gpc) host: Option<usize>,
    pub(in crate::kvm::gpc) slot: Option<&'s MemSlot>,
    pub(in crate::kvm::gpc) generation: u64,
}

impl<'s> Place<'s> {
    /// The place of `address` for a cache of `vm`, going by the memory slots. There is none in another
    /// VM's.
    pub(in crate::kvm::gpc) fn of(vm: &Vm, address: Address, slots: &'s SlotsHeld<'_>) -> Self {
        // First, as slots may change between the two: an old slot must not pass for a new one. It is freed
        // when nobody holds the old slots any more, and who pins the cache may hold the new ones.
        let generation = slots.generation();
        let (slot, host) = match address {
            _ if !ptr::eq(vm, slots.vm()) => (None, None),
            Address::Host(host) => (None, Some(host)),
            Address::Guest(guest) => {
                let gfn = Gfn::of_addr(guest);
                let slot = slots.find(AddressSpace::NORMAL, gfn);
                let page = slot.and_then(|slot| slot.writable_host_of(gfn));
                (slot, page.map(|page| page + address.offset()))
            }
        };
        Self {
            address,
            host,
            slot,
            generation,
        }
    }

    /// The host's page there.
    pub(in crate::kvm::gpc) fn page(&self) -> Option<HostRange> {
        self.host.map(page_around)
    }
}
