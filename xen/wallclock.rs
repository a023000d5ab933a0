// SPDX-License-Identifier: GPL-2.0

//! The wall clock in `shared_info`: when the guest's clock was 0.
//!
//! The guest reads it at any time. So its version is odd while it is written, and another even number afterwards.
//!
//! The page is not marked dirty: no vCPU need be loaded, and who logs writes by rings would need one. What
//! userspace takes to another host is written anew there.
//!
//! C counterpart: `kvm_xen_shared_info_init()`.

use crate::{
    kvm::{
        gpc::{Gpc, GuestPage, Refused, Sleeper, PAGE_SIZE},
        xen::{Layout, Places},
        SlotsHeld, //
    },
    pfncache::refresh::refresh,
    sync::{smp_mb, Write}, //
};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// In the clock: its version, the seconds, and the nanoseconds.
const VERSION: usize = 0;
pub(crate) const SECONDS: usize = 4;
pub(crate) const NANOSECONDS: usize = 8;

/// Writes to `shared`, as `layout` has it, that the guest's clock was 0 at `epoch`: so many nanoseconds after 1970
/// began. Asks for that when the page is there, as the host's clock may be set until then. May sleep.
pub fn tell(
    shared: &Gpc,
    slots: &mut SlotsHeld<'_>,
    layout: Layout,
    epoch: impl Fn() -> u64,
) -> Result<(), Refused> {
    loop {
        if let Some(page) = GuestPage::pin(shared, slots, PAGE_SIZE) {
            return write(&page, layout.places(), epoch()).ok_or(Refused::Length);
        }
        refresh(shared, PAGE_SIZE, &mut Sleeper::new(slots)?)?;
    }
}

/// `None` would mean that the clock is not in the page.
fn write(page: &GuestPage<'_>, places: &Places, epoch: u64) -> Option<()> {
    let (clock, high) = (places.wall_clock, places.wall_clock_high);
    let (seconds, nanoseconds) = (epoch / SECOND, epoch % SECOND);
    let odd = page.read_u32(clock + VERSION)?.wrapping_add(1) | 1;
    page.write_u32(clock + VERSION, odd)?;
    smp_mb(Write);
    page.write_u32(clock + NANOSECONDS, nanoseconds as u32)?;
    page.write_u32(clock + SECONDS, seconds as u32)?;
    page.write_u32(high, (seconds >> 32) as u32)?;
    smp_mb(Write);
    page.write_u32(clock + VERSION, odd.wrapping_add(1))
}
