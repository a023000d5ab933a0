// SPDX-License-Identifier: GPL-2.0

//! What C knows of a vCPU's entries, as tables: `struct kvm_page_format`.

use super::page_fault::error;
use crate::{
    kvm::{
        spte::{masks, PAGE_SIZE},
        types::{Access, Level, PAGE_SHIFT},
    },
    machine::{bits, MAXPHYADDR},
};
use std::array::from_fn;

/// The tables, with C's names.
pub(in crate::kvm::fault) struct Format {
    /// For each access, bits 1 to 4 of its error code: the sets of rights that do not permit it.
    pub permissions: [u16; 16],
    /// For entries without and with the bit for huge pages, and each level.
    pub rsvd_bits_mask: [[u64; 5]; 2],
    /// What the lowest six bits must not be: memory type and permissions, on EPT.
    pub bad_mt_xwr: u64,
}

impl Format {
    /// That of the thread's machine.
    pub fn new() -> Self {
        let ept = masks::nx() == 0;
        Self {
            permissions: from_fn(|index| forbidden(!ept, (index as u64) << 1)),
            rsvd_bits_mask: [false, true].map(|huge| from_fn(|index| reserved(ept, huge, index))),
            bad_mt_xwr: if ept { bad_combinations() } else { 0 },
        }
    }
}

/// Each kind of access needs one right. NPT walks are user accesses; EPT knows no users.
fn forbidden(npt: bool, error_code: u64) -> u16 {
    let needed = match error_code & (error::WRITE | error::FETCH) {
        0 => Access::READ,
        error::WRITE => Access::WRITE,
        error::FETCH => Access::EXEC,
        _ => Access::WRITE.with(Access::EXEC),
    };
    let user = npt && error_code & error::USER != 0;
    let needed = if user {
        needed.with(Access::USER)
    } else {
        needed
    };
    let forbids = |rights: &u32| !Access::new(*rights).grants(needed);
    (0..16)
        .filter(forbids)
        .fold(0, |set, rights| set | 1 << rights)
}

/// The bits that must be zero in entries of the level above `index`.
fn reserved(ept: bool, huge: bool, index: usize) -> u64 {
    let level = Level::new(index as u32 + 1).expect("there are five");
    let beyond = bits(MAXPHYADDR, 51) & masks::base_addr();
    // Where a huge page's address has no bits, PAT lives on NPT.
    let pat = if ept { 0 } else { 1 << PAGE_SHIFT };
    let offset = (level.pages() - 1) << PAGE_SHIFT & !pat;
    let is_leaf = huge || level == Level::PG_4K;
    let of_link = match (ept, level > Level::MAX_HUGEPAGE) {
        (_, true) => PAGE_SIZE,
        (_, false) => 0,
    } | if ept { bits(3, 6) } else { 0 };
    beyond
        | if is_leaf && level <= Level::MAX_HUGEPAGE {
            offset
        } else {
            of_link
        }
}

/// Types that do not exist; to write or to execute without reading.
fn bad_combinations() -> u64 {
    let bad = |low: &u64| matches!(low >> 3, 2 | 3 | 7) || matches!(low & 7, 2 | 4 | 6);
    (0..64).filter(bad).fold(0, |set, low| set | 1 << low)
}
