// SPDX-License-Identifier: GPL-2.0

//! Events for a Xen guest: of each channel, from each source, masked or not, and wherever the vCPU's page is.
//! Just those bits change that should.

use super::long;
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::memory::{Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Vm, BASE};
use kvmtest::xen::{self, Area, INFO_SIZE, UPCALL};
use kvmtest::xen_calls::{Answer, Call, Caller, CHANNEL, SCHED, SEND, YIELD};
use kvmtest::xen_guest::{XenGuest, DATA, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use kvmtest::xen_ports;
use std::cell::{Cell, RefCell};
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[
    long("xen_events_all", all),
    long("xen_events_offsets", offsets),
];

/// Interrupts whose channels are changed at once.
const INTERRUPTS: usize = 64;
/// A channel for a vCPU's page anywhere.
const PORT: u32 = 40;
/// The kernel writes its clock into the vCPU's page.
const CLOCK: u64 = xen::TIME;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// Userspace, by a call.
    Host,
    /// An interrupt.
    Interrupt,
    /// The guest.
    Guest,
}

impl Source {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Host, Self::Interrupt, Self::Guest];
}

/// Each channel, from each source.
fn all(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        for source in Source::ALL {
            let sender = Sender::new(XenGuest::new(backend, layout)?, layout)?;
            for masked in [false, true] {
                sender
                    .every_port(source, masked)
                    .with_context(|| format!("{layout:?}, {source:?}, masked: {masked}"))?;
            }
            sender.beyond(source)?;
        }
    }
    Ok(())
}

/// A guest that gets events, and the interrupts that may be some.
pub struct Sender {
    /// The VM.
    pub vm: Vm,
    vcpu: RefCell<Vcpu>,
    caller: Caller,
    /// The guest's.
    pub memory: Memory,
    layout: Layout,
    interrupts: Vec<EventFd>,
    /// How often the vCPU had to run until events were there.
    pub helped: Cell<u32>,
}

impl Sender {
    /// Makes the interrupts.
    pub fn new(guest: XenGuest, layout: Layout) -> Result<Self> {
        let interrupts = (0..INTERRUPTS as u32).map(|number| {
            let interrupt = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
            let wired = guest.vm.fd.register_irqfd(&interrupt, number);
            wired.context("KVM_IRQFD")?;
            Ok(interrupt)
        });
        let interrupts = interrupts.collect::<Result<_>>()?;
        Ok(Self {
            vm: guest.vm,
            vcpu: RefCell::new(guest.vcpu),
            caller: guest.caller,
            memory: guest.memory,
            layout,
            interrupts,
            helped: Cell::new(0),
        })
    }

    /// One after the other. None has number 0.
    fn every_port(&self, source: Source, masked: bool) -> Result<()> {
        self.mask_all(masked);
        let ports: Vec<u32> = (1..self.layout.ports()).collect();
        for ports in ports.chunks(INTERRUPTS) {
            self.prepare(source, ports, masked)?;
            for (index, &port) in ports.iter().enumerate() {
                self.one(source, index, port, masked)
                    .with_context(|| format!("channel {port}"))?;
            }
        }
        Ok(())
    }

    fn prepare(&self, source: Source, ports: &[u32], again: bool) -> Result<()> {
        match source {
            Source::Host => {}
            Source::Interrupt => xen::route(&self.vm, ports)?,
            Source::Guest if again => {}
            Source::Guest => {
                for &port in ports {
                    xen_ports::assign(&self.vm, port).context("assigning a channel")?;
                }
            }
        }
        Ok(())
    }

    /// Changes the bits that it should, and the second time none.
    fn one(&self, source: Source, index: usize, port: u32, masked: bool) -> Result<()> {
        let before = self.seen();
        self.send(source, index, port)?;
        let wanted = self.with_event(&before, port, masked);
        wait_for("the event", || Ok(self.seen() == wanted))
            .with_context(|| difference(&wanted, &self.seen()))?;
        self.send(source, index, port)?;
        is_same(&wanted, &self.seen())?;
        self.restore(&before);
        Ok(())
    }

    /// Each channel, those at once that are in different words. Others may take pages away: then the vCPU runs, which
    /// writes to its page what others could not.
    pub fn many_at_once(&self, source: Source, masked: bool) -> Result<()> {
        self.mask_all(masked);
        let bits = self.layout.bits();
        for column in 0..bits {
            let ports = (0..bits).map(|word| word * bits + column);
            let ports: Vec<u32> = ports.filter(|&port| port != 0).collect();
            self.prepare(source, &ports, false)?;
            let (before, mut wanted) = (self.seen(), self.seen());
            for (index, &port) in ports.iter().enumerate() {
                self.send(source, index, port)?;
                wanted = self.with_event(&wanted, port, masked);
            }
            wait_for("the events", || self.have_come(&wanted))
                .with_context(|| difference(&wanted, &self.seen()))
                .with_context(|| format!("channels {column}, {}, ...", column + bits))?;
            self.restore(&before);
        }
        Ok(())
    }

    fn have_come(&self, wanted: &[u8]) -> Result<bool> {
        let have_come = self.seen() == wanted;
        if !have_come {
            self.helped.set(self.helped.get() + 1);
            self.call(Call::new(SCHED, &[YIELD]))?;
        }
        Ok(have_come)
    }

    fn mask_all(&self, masked: bool) {
        let masks = self.layout.masks();
        let length = (masks.end - masks.start) as usize;
        let mask = vec![if masked { 0xff } else { 0 }; length];
        self.memory.write(SHARED + masks.start, &mask);
    }

    fn restore(&self, before: &[u8]) {
        self.memory.write(0, &before[..PAGE_4K as usize]);
        self.memory.write(INFO, &before[PAGE_4K as usize..]);
    }

    /// The shared page, and the vCPU's without its clock.
    fn seen(&self) -> Vec<u8> {
        let mut all = self.memory.read();
        all.truncate((INFO + CLOCK) as usize);
        all
    }

    /// What memory is with an event of that channel.
    fn with_event(&self, before: &[u8], port: u32, masked: bool) -> Vec<u8> {
        let mut wanted = before.to_vec();
        let pending = SHARED + self.layout.pending().start + u64::from(port / 8);
        wanted[pending as usize] |= 1 << (port % 8);
        if !masked {
            let (byte, bit) = self.layout.selected(port);
            wanted[(INFO + byte) as usize] |= bit;
            wanted[(INFO + UPCALL) as usize] = 1;
        }
        wanted
    }

    fn send(&self, source: Source, index: usize, port: u32) -> Result<()> {
        match source {
            Source::Host => xen::send(&self.vm, port).context("sending an event"),
            Source::Interrupt => Ok(self.interrupts[index].write(1)?),
            Source::Guest => {
                self.memory.store(DATA, port);
                self.call(Call::new(CHANNEL, &[SEND, BASE + DATA]))
            }
        }
    }

    fn call(&self, call: Call) -> Result<()> {
        let vcpu = &mut self.vcpu.borrow_mut();
        let answer = self.caller.call(vcpu, self.layout, 0, call)?;
        ensure!(answer == Answer::Kernel(0), "{answer:x?}");
        Ok(())
    }

    /// What is no channel has no events. An interrupt may be one: the guest may get more channels later.
    fn beyond(&self, source: Source) -> Result<()> {
        let before = self.seen();
        for port in [self.layout.ports(), self.layout.ports() + 1, u32::MAX] {
            match source {
                Source::Host => refused(xen::send(&self.vm, port))?,
                Source::Interrupt => {
                    xen::route(&self.vm, &[port])?;
                    self.interrupts[0].write(1)?;
                }
                Source::Guest => refused(xen_ports::assign(&self.vm, port))?,
            }
        }
        is_same(&before, &self.seen())
    }
}

/// There is no such channel, or no such vCPU.
pub fn refused(result: Result<(), std::io::Error>) -> Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => bail!("{other:?}"),
    }
}

fn is_same(wanted: &[u8], found: &[u8]) -> Result<()> {
    ensure!(wanted == found, difference(wanted, found));
    Ok(())
}

/// The first byte that is wrong.
fn difference(wanted: &[u8], found: &[u8]) -> String {
    let both = wanted.iter().zip(found);
    let different = both
        .enumerate()
        .find(|(_, (wanted, found))| wanted != found);
    different.map_or("they are equal now".into(), |(place, (wanted, found))| {
        format!("the byte at {place:#x} is {found:#x} instead of {wanted:#x}")
    })
}

/// A vCPU's page may begin at each word of a page, but must end in it. Around it nothing changes.
fn offsets(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let guest = XenGuest::new(backend, layout)?;
        for offset in 0..PAGE_4K {
            let moved = xen::set_area(&guest.vcpu, Area::Info, Some(BASE + INFO + offset));
            let error = moved.err().map(|error| error.raw_os_error().unwrap_or(0));
            let wanted = match offset {
                _ if offset % 4 != 0 => Some(libc::ENXIO),
                _ if offset + INFO_SIZE > PAGE_4K => Some(libc::EINVAL),
                _ => None,
            };
            ensure!(
                error == wanted,
                "at {offset:#x}: {error:?} instead of {wanted:?}"
            );
            if wanted.is_none() {
                at(&guest, layout, offset).with_context(|| format!("{layout:?} at {offset:#x}"))?;
            }
        }
    }
    Ok(())
}

/// All around has bits that an access too far would show.
fn at(guest: &XenGuest, layout: Layout, offset: u64) -> Result<()> {
    let mut page = vec![0xa5; PAGE_4K as usize];
    let place = offset as usize;
    page[place..place + INFO_SIZE as usize].fill(0);
    guest.memory.write(INFO, &page);
    guest
        .memory
        .write(SHARED + layout.pending().start, &[0; 64]);
    xen::send(&guest.vm, PORT).context("sending an event")?;
    let (byte, bit) = layout.selected(PORT);
    page[place + byte as usize] = bit;
    page[place + UPCALL as usize] = 1;
    let found = &guest.memory.read()[INFO as usize..(INFO + PAGE_4K) as usize];
    is_same(&page, found)
}
