// SPDX-License-Identifier: GPL-2.0

//! A Xen guest that changes its width while events come: each event is one of the old width or one of the new.

use super::{long, shown};
use crate::harness::Test;
use crate::rng::Rng;
use anyhow::{ensure, Context, Result};
use kvmtest::backend::RUST;
use kvmtest::beside::beside;
use kvmtest::xen::{self, TIME, UPCALL};
use kvmtest::xen_guest::{XenGuest, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use std::ops::Range;
use std::time::{Duration, Instant};
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[shown(long("xen_width_changes", changes))];

const SEED: u64 = 15;
/// Of each source. C mixes widths within seconds, most of the time.
const LONG_ENOUGH: Duration = Duration::from_secs(15);

/// Channels that a guest of 32 bits does not have. With each change the kernel writes the time of day, which
/// for such a guest is where one of 64 bits has the events of the channels before these.
const PORTS: Range<u64> = 2560..4096;
/// An interrupt has a channel for so many events.
const EVENTS: u64 = 2000;

/// From whom events come.
type Source = fn(&XenGuest, &EventFd, u64, &mut Rng) -> Result<(u32, Sent)>;

/// What is known of an event.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    Yes,
    No,
    /// Nobody says what becomes of an interrupt.
    Perhaps,
}

/// Nothing is demanded of C, which mixes widths (docs/upstream/11-two-widths.md), but not in each run.
fn changes(backend: &str) -> Result<()> {
    for (name, source) in [("calls", by_call as Source), ("interrupts", by_interrupt)] {
        let mixed = first_mixed(backend, source).context(name)?;
        println!("# {name}: the first event of two widths is {mixed:?}");
        ensure!(
            mixed.is_none() || backend != RUST,
            "an event is of two widths at once"
        );
    }
    Ok(())
}

/// The number of the first event that is not of one width.
fn first_mixed(backend: &str, source: Source) -> Result<Option<u64>> {
    let guest = XenGuest::new(backend, Layout::Native)?;
    let interrupt = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
    let wired = guest.vm.fd.register_irqfd(&interrupt, 0);
    wired.context("KVM_IRQFD")?;
    let change = || {
        Layout::ALL
            .into_iter()
            .try_for_each(|layout| layout.set(&guest.vm))
    };
    let mut rng = Rng::new(SEED);
    let begin = Instant::now();
    beside(1, change, || {
        for number in 0.. {
            clear(&guest);
            let (port, sent) = source(&guest, &interrupt, number, &mut rng)?;
            if !is_of_one_width(&guest, port, sent)? {
                return Ok(Some(number));
            }
            if begin.elapsed() > LONG_ENOUGH {
                break;
            }
        }
        Ok(None)
    })
}

fn by_call(guest: &XenGuest, _: &EventFd, _: u64, rng: &mut Rng) -> Result<(u32, Sent)> {
    let port = rng.within(PORTS) as u32;
    match xen::send(&guest.vm, port) {
        Ok(()) => Ok((port, Sent::Yes)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok((port, Sent::No)),
        Err(error) => Err(error).with_context(|| format!("channel {port}")),
    }
}

fn by_interrupt(
    guest: &XenGuest,
    interrupt: &EventFd,
    number: u64,
    _: &mut Rng,
) -> Result<(u32, Sent)> {
    // A change of routes takes long.
    let port = Rng::new(number / EVENTS).within(PORTS) as u32;
    if number % EVENTS == 0 {
        xen::route(&guest.vm, &[port])?;
    }
    interrupt.write(1)?;
    Ok((port, Sent::Perhaps))
}

/// No channel has an event.
fn clear(guest: &XenGuest) {
    let pending = Layout::Native.pending();
    let bits = vec![0; (pending.end - pending.start) as usize];
    guest.memory.write(INFO, &[0; TIME as usize]);
    guest.memory.write(SHARED + pending.start, &bits);
}

/// Such an event is refused, or leaves the bits that a guest of 64 bits looks at.
fn is_of_one_width(guest: &XenGuest, port: u32, sent: Sent) -> Result<bool> {
    let (pending, info) = (Layout::Native.pending(), INFO as usize);
    let found = guest.memory.read();
    let byte = found[(pending.start + u64::from(port / 8)) as usize];
    let mut wanted = [0; TIME as usize];
    let has_come = match sent {
        Sent::Yes => true,
        Sent::No => false,
        Sent::Perhaps => byte != 0,
    };
    if has_come {
        ensure!(byte == 1 << (port % 8), "{byte:#x} for channel {port}");
        let (place, bit) = Layout::Native.selected(port);
        wanted[place as usize] = bit;
        wanted[UPCALL as usize] = 1;
    }
    Ok(found[info..info + TIME as usize] == wanted)
}
