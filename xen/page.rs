// SPDX-License-Identifier: GPL-2.0

//! The page by which a guest calls: for each call a few instructions, to which the guest jumps.
//!
//! C counterpart: `kvm_xen_write_hypercall_page()`.

use crate::kvm::xen::CALL;

/// Bytes of the instructions for a call.
pub const ENTRY: usize = 32;

const MOV_TO_EAX: u8 = 0xb8;
const RET: u8 = 0xc3;
const INT3: u8 = 0xcc;

/// The instructions for the call `number`, which leave the guest by `call`.
pub fn entry(number: u32, call: [u8; CALL]) -> [u8; ENTRY] {
    let mut entry = [INT3; ENTRY];
    entry[0] = MOV_TO_EAX;
    entry[1..5].copy_from_slice(&number.to_le_bytes());
    entry[5..8].copy_from_slice(&call);
    entry[8] = RET;
    entry
}
