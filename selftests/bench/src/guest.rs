// SPDX-License-Identifier: GPL-2.0

//! The guest: 32-bit code without paging that writes to every page of a range, then halts.

use crate::memory::PAGE_4K;
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};

/// The program, for the guest-physical range `start..end`, which lies below 4G.
pub fn program(start: u32, end: u32) -> Vec<u8> {
    let mut code = vec![0xbe]; //                       mov  $start, %esi
    code.extend(start.to_le_bytes());
    code.extend([0xff, 0x06]); //                 1:    incl (%esi)
    code.extend([0x81, 0xc6]); //                       add  $4096, %esi
    code.extend((PAGE_4K as u32).to_le_bytes());
    code.extend([0x81, 0xfe]); //                       cmp  $end, %esi
    code.extend(end.to_le_bytes());
    code.extend([0x72, 0xf0]); //                       jb   1b
    code.push(0xf4); //                                 hlt
    code
}

/// Protected mode with flat segments, on top of what a new vCPU has.
pub fn protected_mode(mut sregs: kvm_sregs) -> kvm_sregs {
    let flat = |selector, type_| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    sregs.cs = flat(8, 0xb);
    for segment in [&mut sregs.ds, &mut sregs.es, &mut sregs.ss] {
        *segment = flat(16, 0x3);
    }
    sregs.cr0 |= 1;
    sregs
}

/// At the beginning of a program that lies at guest-physical 0.
pub fn start() -> kvm_regs {
    kvm_regs {
        rip: 0,
        rflags: 2,
        ..Default::default()
    }
}
