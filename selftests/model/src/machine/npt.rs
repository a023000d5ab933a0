// SPDX-License-Identifier: GPL-2.0

//! AMD's nested page tables: ordinary page-table entries with accessed and dirty bits.

use super::{bits, Masks};
use crate::kvm::types::PAGE_SHIFT;

/// Bit of the encryption flag (C-bit).
const C_BIT: u64 = 1 << 51;
/// What marks an MMIO entry: a present entry with a reserved address bit.
const RESERVED: u64 = 1 << 51 | 1;

/// NPT.
pub fn npt() -> Masks {
    Masks {
        present: 1,
        accessed: 1 << 5,
        dirty: 1 << 6,
        host_writable: 1 << 9,
        mmu_writable: 1 << 10,
        nx: 1 << 63,
        user: 1 << 2,
        exec: 0,
        user_exec: 0,
        acc_track: 0,
        me_value: 0,
        mmio: RESERVED,
        mmio_value: RESERVED,
        mmio_access: 1 << 1 | 1 << 2,
        nonpresent_or_rsvd: 0,
        ad_enabled: true,
        mmio_caching: true,
        base_addr: bits(PAGE_SHIFT, 51),
    }
}

/// NPT of a machine with memory encryption, whose flag takes an address bit, so that there is none
/// left for MMIO entries.
pub fn npt_encrypted() -> Masks {
    Masks {
        me_value: C_BIT,
        base_addr: bits(PAGE_SHIFT, 51) & !C_BIT,
        mmio: 0,
        mmio_value: 0,
        mmio_caching: false,
        ..npt()
    }
}
