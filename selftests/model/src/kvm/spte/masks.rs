// SPDX-License-Identifier: GPL-2.0

//! The bits of an entry that differ between formats: those of the thread's machine.

use crate::machine;

macro_rules! masks {
    ($($name:ident)*) => {$(
        #[doc = concat!("See `", stringify!($name), "()` in rust/kvm/spte/masks.rs.")]
        #[inline(always)]
        pub fn $name() -> u64 {
            machine::masks().$name
        }
    )*};
}

masks! {
    present accessed dirty host_writable mmu_writable nx user exec user_exec acc_track me_value
    mmio mmio_access nonpresent_or_rsvd base_addr
}

/// The bits of a physical address that the CPU does not have.
pub fn reserved_addr() -> u64 {
    machine::bits(machine::MAXPHYADDR, 51) & !me_value()
}

/// Whether non-nested page tables use hardware accessed and dirty bits.
pub fn ad_enabled() -> bool {
    machine::masks().ad_enabled
}

/// Whether MMIO entries are in use.
pub fn mmio_caching() -> bool {
    machine::masks().mmio_caching
}
