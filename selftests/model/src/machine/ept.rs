// SPDX-License-Identifier: GPL-2.0

//! Intel's extended page tables: bits for read, write and execute, and misconfigured entries for
//! MMIO. Accessed and dirty bits are optional.

use super::{bits, Masks};
use crate::kvm::types::PAGE_SHIFT;

const SUPPRESS_VE: u64 = 1 << 63;
const RWX: u64 = 7;
const USER_EXEC: u64 = 1 << 10;
/// "Writable, not readable": a misconfiguration.
const MISCONFIGURED: u64 = 6;
/// Address bits that the L1TF mitigation sets in MMIO entries.
const L1TF: u64 = bits(41, 45);

/// EPT with accessed and dirty bits.
pub fn ept() -> Masks {
    Masks {
        present: SUPPRESS_VE,
        accessed: 1 << 8,
        dirty: 1 << 9,
        host_writable: 1 << 53,
        mmu_writable: 1 << 55,
        nx: 0,
        user: 0,
        exec: 1 << 2,
        user_exec: USER_EXEC,
        acc_track: RWX | USER_EXEC,
        me_value: 0,
        mmio: RWX | SUPPRESS_VE,
        mmio_value: MISCONFIGURED,
        mmio_access: 0,
        nonpresent_or_rsvd: L1TF,
        ad_enabled: true,
        mmio_caching: true,
        base_addr: bits(PAGE_SHIFT, 51),
    }
}

/// EPT of a CPU without accessed and dirty bits: KVM keeps books by taking access away.
pub fn ept_without_ad() -> Masks {
    Masks {
        ad_enabled: false,
        ..ept()
    }
}
