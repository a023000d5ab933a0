// SPDX-License-Identifier: GPL-2.0

//! Memory behind 4 GiB, for guests of 32 bits: a window of 1 GiB through which they see some of it.

use anyhow::Result;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_1G, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE, SLOT};

/// Where the guest has its page directory.
const TABLE_AT: u64 = 16 * MIB;
/// What an entry of that maps.
const PAGE: u64 = 4 * MIB;
const ENTRIES: u64 = 1024;
/// Present, writable, used, written to, and a page.
const BITS: u64 = 0xe3;

const CR0_PG: u64 = 1 << 31;
const CR4_PSE: u64 = 1 << 4;

/// Where the guest sees it: [`BASE`]. What is below stays where it is.
pub struct Window {
    table: Memory,
}

impl Window {
    /// One for the guests of `vm`.
    pub fn new(vm: &Vm) -> Result<Self> {
        let table = Memory::new(PAGE_4K, Backing::Small)?;
        let slot = Slot {
            id: SLOT + 1,
            gpa: TABLE_AT,
            ..Slot::of(&table)
        };
        vm.set(&slot, 0)?;
        Ok(Self { table })
    }

    /// Has the guest see what is at `gpa`, a multiple of 4 MiB, and up to 1 GiB behind that.
    pub fn show(&self, vcpu: &Vcpu, gpa: u64) -> Result<()> {
        let shown = BASE..BASE + PAGE_1G;
        let entries = (0..ENTRIES).map(|index| match index * PAGE {
            place if shown.contains(&place) => entry(gpa + (place - BASE)),
            place => entry(place),
        });
        let table: Vec<u8> = entries.flat_map(u32::to_le_bytes).collect();
        self.table.write(0, &table);
        let mut sregs = vcpu.fd.get_sregs()?;
        sregs.cr3 = TABLE_AT;
        sregs.cr4 |= CR4_PSE;
        sregs.cr0 |= CR0_PG;
        Ok(vcpu.fd.set_sregs(&sregs)?)
    }
}

/// For a page of 4 MiB. Its address has 40 bits, and the highest 8 of them a place of their own (PSE-36).
fn entry(gpa: u64) -> u32 {
    (gpa as u32) | ((gpa >> 32) as u32) << 13 | BITS as u32
}
