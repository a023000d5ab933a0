// SPDX-License-Identifier: GPL-2.0

//! Marks in the stream of instructions, for who watches it from outside: bench/plugin/locked.c.

use core::arch::asm;

/// What is counted begins.
#[inline(always)]
pub fn begin() {
    // SAFETY: a NOP: it accesses no memory, whatever address it names.
    unsafe {
        asm!(
            "nopl 0x426d766b(%rax)",
            options(att_syntax, nostack, preserves_flags)
        )
    };
}

/// It ends.
#[inline(always)]
pub fn end() {
    // SAFETY: a NOP: it accesses no memory, whatever address it names.
    unsafe {
        asm!(
            "nopl 0x456d766b(%rax)",
            options(att_syntax, nostack, preserves_flags)
        )
    };
}
