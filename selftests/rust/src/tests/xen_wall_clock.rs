// SPDX-License-Identifier: GPL-2.0

//! The time of day at which a Xen guest's clock was 0, in the page that all vCPUs share: where a guest of that width has
//! it, and nowhere else.

use super::test;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{KVM_XEN_ATTR_TYPE_SHARED_INFO, KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA};
use kvmtest::memory::PAGE_4K;
use kvmtest::vm::BASE;
use kvmtest::xen_attr::{Attribute, Words};
use kvmtest::xen_guest::{XenGuest, DATA, SHARED};
use kvmtest::xen_layout::Layout;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const TESTS: &[Test] = &[test("xen_wall_clock", wall_clock)];

const BY_GUEST: Attribute = Attribute::Vm(KVM_XEN_ATTR_TYPE_SHARED_INFO as u16);
const BY_HOST: Attribute = Attribute::Vm(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA as u16);
/// What the page has before. As a version, that is odd.
const BEFORE: u8 = 0xa5;
/// The clocks may be adjusted meanwhile.
const DRIFT: Duration = Duration::from_millis(100);

/// It is told whenever the page gets a place, also the same one, and whenever the width is set.
fn wall_clock(backend: &str) -> Result<()> {
    let guest = XenGuest::new(backend, Layout::Native)?;
    let other = guest.memory.address() + DATA;
    for layout in [Layout::ALL, Layout::ALL].concat() {
        fill(&guest);
        layout.set(&guest.vm)?;
        is_told(&guest, SHARED, layout).with_context(|| format!("the width is {layout:?}"))?;
        for (attribute, value, place) in [
            (BY_GUEST, (BASE + SHARED) / PAGE_4K, SHARED),
            (BY_HOST, other, DATA),
            (BY_GUEST, (BASE + SHARED) / PAGE_4K, SHARED),
        ] {
            fill(&guest);
            let mut words: Words = [0; 8];
            words[0] = value;
            let error = attribute.set(&guest.vm, &guest.vcpu, words);
            ensure!(error == 0, "setting {attribute:?} to {value:#x}: {error}");
            is_told(&guest, place, layout)
                .with_context(|| format!("{layout:?}, {attribute:?} is {value:#x}"))?;
        }
    }
    Ok(())
}

fn fill(guest: &XenGuest) {
    for page in [SHARED, DATA] {
        guest.memory.write(page, &[BEFORE; PAGE_4K as usize]);
    }
}

/// In this page, and nothing else is written there or in the other one.
fn is_told(guest: &XenGuest, page: u64, layout: Layout) -> Result<()> {
    let memory = guest.memory.read();
    let [clock, high] = layout
        .wall_clock()
        .map(|range| page + range.start..page + range.end);
    let mut wanted = memory.clone();
    for page in [SHARED, DATA] {
        wanted[bytes(&(page..page + PAGE_4K))].fill(BEFORE);
    }
    for range in [&clock, &high] {
        wanted[bytes(range)].copy_from_slice(&memory[bytes(range)]);
    }
    ensure!(memory == wanted, "something else is written");
    let word = |place: u64| {
        let bytes = memory[place as usize..].first_chunk();
        u32::from_le_bytes(*bytes.expect("it is not at the memory's end"))
    };
    let version = word(clock.start);
    let old = u32::from_le_bytes([BEFORE; 4]);
    ensure!(
        version % 2 == 0 && version > old,
        "version {version:#x} follows {old:#x}"
    );
    let seconds = u64::from(word(clock.start + 4)) | u64::from(word(high.start)) << 32;
    is_right(guest, Duration::new(seconds, word(clock.start + 8)))
}

fn bytes(range: &Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// So much later it is now as the guest's clock says.
fn is_right(guest: &XenGuest, epoch: Duration) -> Result<()> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH);
    let before = now()?;
    let clock = guest.vm.fd.get_clock().context("KVM_GET_CLOCK")?.clock;
    let found = epoch + Duration::from_nanos(clock);
    let after = now()?;
    ensure!(
        (before - DRIFT..after + DRIFT).contains(&found),
        "the guest takes it for {found:?}, and it is {before:?}"
    );
    Ok(())
}
