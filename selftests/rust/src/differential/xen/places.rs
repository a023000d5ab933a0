// SPDX-License-Identifier: GPL-2.0

//! Where a guest has what KVM keeps for it: in the memory of its calls, or in other memory behind that.

use super::op::UNMAPPED;
use crate::rng::Rng;
use kvmtest::memory::PAGE_4K;
use kvmtest::vm::BASE;
use kvmtest::xen::Area;
use kvmtest::xen_guest::{INFO, SHARED};
use kvmtest::xen_layout::Layout;
use std::ops::Range;

/// Where the other memory is in the guest, and how long it is: another shared page, another page of the vCPU's, a page
/// for the second clock, two for the states.
pub const AREAS: u64 = BASE + 64 * PAGE_4K;
pub const SIZE: u64 = 5 * PAGE_4K;
/// The two shared pages.
pub const SHARED_PAGES: [u64; 2] = [BASE + SHARED, AREAS];
/// The two pages of the vCPU's.
const INFO_PAGES: [u64; 2] = [BASE + INFO, AREAS + PAGE_4K];
const CLOCK: u64 = AREAS + 2 * PAGE_4K;
const STATES: u64 = AREAS + 3 * PAGE_4K;
/// Bytes of states, in the wider layout.
const LONGEST: u64 = 48;
/// Bytes of a clock.
const CLOCK_SIZE: u64 = 32;

/// An address of the guest's, or none.
pub type Place = Option<u64>;

/// Where an area may be, or where it must not.
pub fn any(rng: &mut Rng, area: Area) -> Place {
    let of = |rng: &mut Rng, all: &[u64]| Some(all[rng.within(0..all.len() as u64) as usize]);
    match area {
        // It always has one: C warns where there is none (docs/upstream/07-inactive-cache.md). The last two are
        // refused.
        Area::Info => {
            let page = INFO_PAGES[rng.within(0..2) as usize];
            of(rng, &[0, 4, 0x7c4, 0xfc0, 2, 0xfc4]).map(|offset| page + offset)
        }
        Area::Time => of(
            rng,
            &[CLOCK, CLOCK + 32, CLOCK + 0xfe0, CLOCK + 0xff0, UNMAPPED],
        ),
        Area::Runstate => {
            let edge = STATES + PAGE_4K;
            let around = [4, 20, 44, 45, 48, 100].map(|before| edge - before);
            let end = edge + PAGE_4K - 20;
            let all = [&[STATES, end, UNMAPPED][..], &around].concat();
            of(rng, &all)
        }
    }
    .filter(|_| area == Area::Info || !rng.once_in(6))
}

/// A page that is in use, perhaps.
pub fn page(rng: &mut Rng) -> Place {
    let [first, second] = INFO_PAGES;
    let [shared, other] = SHARED_PAGES;
    let all = [
        first,
        second,
        shared,
        other,
        CLOCK,
        STATES,
        STATES + PAGE_4K,
    ];
    Some(all[rng.within(0..all.len() as u64) as usize])
}

/// Where things are now.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The shared page.
    pub shared: u64,
    /// What userspace has said of the vCPU's.
    pub info: u64,
    /// The second clock.
    pub time: Place,
    /// The states.
    pub states: Place,
}

impl Places {
    /// In a new guest.
    pub fn new() -> Self {
        Self {
            shared: BASE + SHARED,
            info: BASE + INFO,
            time: None,
            states: None,
        }
    }

    /// What the kernel writes that differs from VM to VM: times.
    pub fn times(&self) -> Vec<Range<u64>> {
        let mut all = self.wall_clocks();
        all.push(self.clock());
        all.extend(self.of(Area::Time));
        all.extend(self.of(Area::Runstate));
        all
    }

    /// In the shared page, for guests of 32 and of 64 bits.
    pub fn wall_clocks(&self) -> Vec<Range<u64>> {
        let at = |range: Range<u64>| self.shared + range.start..self.shared + range.end;
        let clocks = Layout::ALL.into_iter().flat_map(Layout::wall_clock);
        clocks.map(at).collect()
    }

    /// In the vCPU's page.
    fn clock(&self) -> Range<u64> {
        let start = self.info + kvmtest::xen::TIME;
        start..start + CLOCK_SIZE
    }

    /// The times of an area.
    pub fn of(&self, area: Area) -> Option<Range<u64>> {
        match area {
            Area::Info => Some(self.clock()),
            Area::Time => self.time.map(|start| start..start + CLOCK_SIZE),
            Area::Runstate => self.states.map(|start| start..start + LONGEST),
        }
    }

    /// Userspace has put an area there.
    pub fn set(&mut self, area: Area, place: Place) {
        match (area, place) {
            (Area::Info, Some(place)) => self.info = place,
            (Area::Info, None) => {}
            (Area::Time, _) => self.time = place,
            (Area::Runstate, _) => self.states = place,
        }
    }
}
