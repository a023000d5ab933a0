// SPDX-License-Identifier: GPL-2.0

//! A Xen guest that changes its width while events come: each event is one of the old width or one of the new.

use super::long;
use crate::harness::Test;
use crate::rng::Rng;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::beside::beside;
use kvmtest::xen::{self, TIME, UPCALL};
use kvmtest::xen_guest::{XenGuest, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use std::ops::Range;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[Test {
    report: "11-two-widths",
    ..long("xen_width_changes", changes)
}];

const SEED: u64 = 15;
/// C mixes widths within seconds.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

/// Channels that a guest of 32 bits does not have. With each change the kernel writes the time of day, which
/// for such a guest is where one of 64 bits has the events of the channels before these.
const PORTS: Range<u64> = 2560..4096;

fn changes(backend: &str) -> Result<()> {
    let guest = XenGuest::new(backend, Layout::Native)?;
    let change = || {
        Layout::ALL
            .into_iter()
            .try_for_each(|layout| layout.set(&guest.vm))
    };
    let mut rng = Rng::new(SEED);
    let begin = Instant::now();
    beside(1, change, || {
        for number in 1_u64.. {
            let port = rng.within(PORTS) as u32;
            if !is_of_one_width(&guest, port)? {
                println!("# event {number}, channel {port}");
                bail!("an event is of two widths at once");
            }
            if begin.elapsed() > LONG_ENOUGH {
                break;
            }
        }
        Ok(())
    })
}

/// Such an event is refused, or leaves the bits that a guest of 64 bits looks at.
fn is_of_one_width(guest: &XenGuest, port: u32) -> Result<bool> {
    let (pending, info) = (Layout::Native.pending(), INFO as usize);
    guest.memory.write(INFO, &[0; TIME as usize]);
    let bits = vec![0; (pending.end - pending.start) as usize];
    guest.memory.write(SHARED + pending.start, &bits);
    let sent = xen::send(&guest.vm, port);
    let found = guest.memory.read();
    let byte = found[(pending.start + u64::from(port / 8)) as usize];
    let mut wanted = [0; TIME as usize];
    match sent {
        Ok(()) => {
            ensure!(byte == 1 << (port % 8), "{byte:#x} for channel {port}");
            let (place, bit) = Layout::Native.selected(port);
            wanted[place as usize] = bit;
            wanted[UPCALL as usize] = 1;
        }
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
        Err(error) => return Err(error).with_context(|| format!("channel {port}")),
    }
    Ok(found[info..info + TIME as usize] == wanted)
}
