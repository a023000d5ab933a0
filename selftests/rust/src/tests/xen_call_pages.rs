// SPDX-License-Identifier: GPL-2.0

//! The page by which a Xen guest calls. The guest asks for it by an MSR: KVM fills it, or copies one that userspace has
//! brought. From then on the guest has the width of the mode that it has asked in.

use super::test;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{
    kvm_xen_hvm_config, KVM_XEN_ATTR_TYPE_LONG_MODE, KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
    KVM_XEN_MSR_MIN_INDEX,
};
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vm::BASE;
use kvmtest::xen;
use kvmtest::xen_attr::{configure, Attribute};
use kvmtest::xen_calls::{Page, CALL};
use kvmtest::xen_guest::{XenGuest, DATA, END};
use kvmtest::xen_layout::Layout;

pub const TESTS: &[Test] = &[test("xen_call_pages", pages)];

const WIDTH: Attribute = Attribute::Vm(KVM_XEN_ATTR_TYPE_LONG_MODE as u16);
/// Where the guest wants its page, and how far its memory goes behind it.
const PAGE: u64 = BASE + DATA;
const ALL: u64 = END - DATA;
/// What its memory has before.
const BEFORE: u8 = 0xa5;
/// Instructions of each vendor's by which a guest calls.
const VENDORS: [[u8; 3]; 2] = [[0x0f, 0x01, 0xc1], [0x0f, 0x01, 0xd9]];
const MOV_TO_EAX: u8 = 0xb8;
const RET: u8 = 0xc3;
const INT3: u8 = 0xcc;
/// For guests of 32 and of 64 bits: how many pages userspace brings, and what is in the first one.
const BROUGHT: [(u64, u8); 2] = [(1, 1), (2, 2)];
/// No memory of this process is there.
const NOWHERE: u64 = PAGE_4K;

fn pages(backend: &str) -> Result<()> {
    for before in Layout::ALL {
        for width in Layout::ALL {
            let mut guest = XenGuest::new(backend, before)?;
            let what = || format!("{width:?}, {before:?} before");
            of_kvm(&mut guest, width).with_context(what)?;
            before.set(&guest.vm)?;
            of_userspace(&mut guest, width).with_context(what)?;
        }
    }
    Ok(())
}

/// There is one page, with all calls.
fn of_kvm(guest: &mut XenGuest, width: Layout) -> Result<()> {
    is(guest, width, PAGE + 1, Page::Refused)?;
    is(guest, width, BASE + END, Page::Refused)?;
    is(guest, width, PAGE, Page::Written)?;
    let memory = written(guest);
    let mut vendors = VENDORS.into_iter();
    let known = vendors.any(|vendor| memory[..PAGE_4K as usize] == calls(vendor));
    ensure!(known, "the page has other calls");
    is_alone(&memory)
}

fn calls(vendor: [u8; 3]) -> Vec<u8> {
    let calls = (0..(PAGE_4K / CALL) as u32).map(|number| {
        let mut call = [INT3; CALL as usize];
        call[0] = MOV_TO_EAX;
        call[1..5].copy_from_slice(&number.to_le_bytes());
        call[5..8].copy_from_slice(&vendor);
        call[8] = RET;
        call
    });
    calls.flatten().collect()
}

/// Each width has pages of its own, which have numbers.
fn of_userspace(guest: &mut XenGuest, width: Layout) -> Result<()> {
    let mut pages = Vec::new();
    for (count, first) in BROUGHT {
        let memory = Memory::new(count * PAGE_4K, Backing::Small)?;
        for number in 0..count {
            let content = [first + number as u8; PAGE_4K as usize];
            memory.write(number * PAGE_4K, &content);
        }
        pages.push(memory);
    }
    bring(guest, [&pages[0], &pages[1]].map(Memory::address))?;
    let (count, first) = BROUGHT[usize::from(width == Layout::Native)];
    for number in 0..count {
        is(guest, width, PAGE + number, Page::Written)?;
        let memory = written(guest);
        let content = first + number as u8;
        ensure!(
            memory[..PAGE_4K as usize]
                .iter()
                .all(|&byte| byte == content),
            "it is not page {number}"
        );
        is_alone(&memory)?;
    }
    is(guest, width, PAGE + count, Page::Refused)?;
    is(guest, width, PAGE + PAGE_4K - 1, Page::Refused)?;
    is(guest, width, BASE + END, Page::Refused)?;
    bring(guest, [NOWHERE; 2])?;
    is(guest, width, PAGE, Page::Error(libc::EFAULT))?;
    xen::enable(&guest.vm)
}

fn bring(guest: &XenGuest, [compat, native]: [u64; 2]) -> Result<()> {
    let config = kvm_xen_hvm_config {
        flags: KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
        msr: KVM_XEN_MSR_MIN_INDEX,
        blob_addr_32: compat,
        blob_size_32: BROUGHT[0].0 as u8,
        blob_addr_64: native,
        blob_size_64: BROUGHT[1].0 as u8,
        ..Default::default()
    };
    let error = configure(&guest.vm, &config);
    ensure!(error == 0, "bringing pages: {error}");
    Ok(())
}

/// What becomes of it. Whatever that is, the guest has that width. Nothing is written but where a page is.
fn is(guest: &mut XenGuest, width: Layout, value: u64, wanted: Page) -> Result<()> {
    guest.memory.write(DATA, &[BEFORE; ALL as usize]);
    let found = guest.caller.ask_for_page(&mut guest.vcpu, width, value)?;
    ensure!(
        found == wanted,
        "{value:#x}: {found:?} instead of {wanted:?}"
    );
    let (error, words) = WIDTH.get(&guest.vm, &guest.vcpu);
    let long = u64::from(width == Layout::Native);
    ensure!(
        (error, words[0] & 0xff) == (0, long),
        "{value:#x}: the guest has another width"
    );
    let is_old = written(guest).iter().all(|&byte| byte == BEFORE);
    let should = wanted != Page::Written;
    ensure!(
        is_old == should,
        "{value:#x}: the memory is as it was: {is_old}"
    );
    Ok(())
}

/// From the page on.
fn written(guest: &XenGuest) -> Vec<u8> {
    guest.memory.read().split_off(DATA as usize)
}

fn is_alone(memory: &[u8]) -> Result<()> {
    let mut behind = memory[PAGE_4K as usize..].iter();
    ensure!(
        behind.all(|&byte| byte == BEFORE),
        "more than a page is written"
    );
    Ok(())
}
