// SPDX-License-Identifier: GPL-2.0

//! The guest: 32-bit code without paging that touches every page of a range, then halts.

use crate::memory::PAGE_4K;
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};

/// What the guest does to every page.
#[derive(Clone, Copy)]
pub enum Access {
    Read,
    Write,
}

/// Room for the program of one kind of access.
const ROOM: usize = 64;

/// The programs of both kinds, for the guest-physical range `start..end`, which lies below 4G.
pub fn programs(start: u32, end: u32) -> Vec<u8> {
    let mut code = Vec::new();
    for access in [Access::Read, Access::Write] {
        code.resize(access as usize * ROOM, 0);
        code.extend(program(access, start, end));
    }
    code
}

fn program(access: Access, start: u32, end: u32) -> Vec<u8> {
    let mut code = vec![0xbe]; //                       mov  $start, %esi
    code.extend(start.to_le_bytes());
    code.extend(match access {
        Access::Read => [0x39, 0x06],  //          1:    cmp  %eax, (%esi)
        Access::Write => [0xff, 0x06], //         1:    incl (%esi)
    });
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

/// Where the program for `access` starts, if they lie at guest-physical 0.
pub fn start(access: Access) -> kvm_regs {
    kvm_regs {
        rip: (access as usize * ROOM) as u64,
        rflags: 2,
        ..Default::default()
    }
}
