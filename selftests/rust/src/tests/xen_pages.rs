// SPDX-License-Identifier: GPL-2.0

//! Events for a Xen guest whose pages go and come, and for vCPUs that are not there yet.

use super::xen_events::{refused, Sender, Source};
use super::{long, test};
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvmtest::beside::beside;
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vm::{Slot, BASE, SLOT};
use kvmtest::xen::{self, Area, UPCALL};
use kvmtest::xen_calls::{Answer, Call, CHANNEL, SEND};
use kvmtest::xen_guest::{XenGuest, DATA, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use kvmtest::xen_ports;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread::sleep;
use std::time::Duration;
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[
    long("xen_events_pages", pages),
    test("xen_events_later", later),
];

/// What goes: the shared page, the vCPU's, both at once.
const GOES: [Range<u64>; 3] = [
    SHARED..SHARED + PAGE_4K,
    INFO..INFO + PAGE_4K,
    SHARED..INFO + PAGE_4K,
];
/// Time for who needs a page to get it.
const PAUSE: Duration = Duration::from_micros(100);
/// A slot comes and goes once in so many times.
const SLOTS: usize = 16;
/// A channel of the second vCPU, and that vCPU's page.
const PORT: u32 = 70;
const OTHER: u32 = 1;
const OTHER_INFO: u64 = DATA + PAGE_4K;

/// Each channel, from each source. The pages are those of a file, so they come back as they were.
fn pages(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        for source in Source::ALL {
            for masked in [false, true] {
                let guest = XenGuest::backed(backend, layout, Backing::File)?;
                let sender = Sender::new(guest, layout)?;
                while_they_go(&sender, || send_until_one_is_away(&sender, source, masked))
                    .with_context(|| format!("{layout:?}, {source:?}, masked: {masked}"))?;
            }
        }
    }
    Ok(())
}

/// Until the vCPU's page was away when it was wanted. A guest that sends runs anyway, and what is masked is in the
/// shared page alone.
fn send_until_one_is_away(sender: &Sender, source: Source, masked: bool) -> Result<()> {
    let may_be_there = masked || source == Source::Guest;
    wait_for("the vCPU's page is away", || {
        sender.many_at_once(source, masked)?;
        Ok(may_be_there || sender.helped.get() > 0)
    })
}

/// Pages go all the time. Now and then another slot of the VM's comes and goes: with each change KVM looks all
/// pages up again.
fn while_they_go(sender: &Sender, host: impl FnOnce() -> Result<()>) -> Result<()> {
    let other = Memory::new(PAGE_4K, Backing::Small)?;
    let slot = Slot {
        id: SLOT + 1,
        gpa: 2 * BASE,
        ..Slot::of(&other)
    };
    let (vm, memory, number) = (&sender.vm, &sender.memory, AtomicU32::new(0));
    let take = || {
        sleep(PAUSE);
        let number = number.fetch_add(1, SeqCst) as usize;
        if number % SLOTS == 0 {
            vm.set(&slot, 0)?;
            vm.delete(&slot)?;
        }
        memory.discard(GOES[number % GOES.len()].clone())
    };
    beside(1, take, host)
}

/// An event's vCPU need not be there when userspace says who gets it. From the moment on when it is, it does.
fn later(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let mut routed = Routed::new(backend, layout)?;
        routed
            .nobody_gets_it()
            .context("before the vCPU is there")?;
        let vcpu = routed.guest.vm.vcpu(OTHER.into())?;
        xen::set_area(&vcpu, Area::Info, Some(BASE + OTHER_INFO)).context("setting its page")?;
        for source in Source::ALL {
            routed
                .it_gets_it(source)
                .with_context(|| format!("{layout:?}, {source:?}"))?;
        }
    }
    Ok(())
}

/// A guest with a channel that is a second vCPU's, from each source.
struct Routed {
    guest: XenGuest,
    layout: Layout,
    interrupt: EventFd,
}

impl Routed {
    fn new(backend: &str, layout: Layout) -> Result<Self> {
        let guest = XenGuest::new(backend, layout)?;
        let interrupt = EventFd::new(libc::EFD_NONBLOCK).context("eventfd")?;
        let wired = guest.vm.fd.register_irqfd(&interrupt, 0);
        wired.context("KVM_IRQFD")?;
        xen::route_to(&guest.vm, OTHER, &[PORT])?;
        xen_ports::assign_to(&guest.vm, OTHER, PORT).context("assigning a channel")?;
        guest.memory.store(DATA, PORT);
        Ok(Self {
            guest,
            layout,
            interrupt,
        })
    }

    /// Userspace is told so, and has to answer the guest.
    fn nobody_gets_it(&mut self) -> Result<()> {
        self.interrupt.write(1)?;
        refused(xen::send_to(&self.guest.vm, OTHER, PORT))?;
        let answer = self.call()?;
        ensure!(matches!(answer, Answer::Userspace { .. }), "{answer:x?}");
        let pending = self.layout.pending();
        let memory = self.guest.memory.read();
        ensure!(is_zero(&memory, pending), "the channel has an event");
        is_not_the_first_ones(&memory)
    }

    fn it_gets_it(&mut self, source: Source) -> Result<()> {
        match source {
            Source::Host => xen::send_to(&self.guest.vm, OTHER, PORT)?,
            Source::Interrupt => self.interrupt.write(1)?,
            Source::Guest => {
                let answer = self.call()?;
                ensure!(answer == Answer::Kernel(0), "{answer:x?}");
            }
        }
        wait_for("the event", || Ok(self.has_event()))?;
        let memory = &self.guest.memory;
        is_not_the_first_ones(&memory.read())?;
        let (byte, _) = self.pending();
        memory.write(byte, &[0]);
        memory.write(OTHER_INFO, &[0; xen::TIME as usize]);
        Ok(())
    }

    /// The guest sends.
    fn call(&mut self) -> Result<Answer> {
        let call = Call::new(CHANNEL, &[SEND, BASE + DATA]);
        let XenGuest { caller, vcpu, .. } = &mut self.guest;
        caller.call(vcpu, self.layout, 0, call)
    }

    fn pending(&self) -> (u64, u8) {
        let byte = SHARED + self.layout.pending().start + u64::from(PORT / 8);
        (byte, 1 << (PORT % 8))
    }

    fn has_event(&self) -> bool {
        let (selected, word) = self.layout.selected(PORT);
        let upcall = (OTHER_INFO + UPCALL, 1);
        let memory = self.guest.memory.read();
        [self.pending(), (OTHER_INFO + selected, word), upcall]
            .iter()
            .all(|&(place, bits)| memory[place as usize] == bits)
    }
}

fn is_not_the_first_ones(memory: &[u8]) -> Result<()> {
    let zero = is_zero(memory, INFO..INFO + xen::TIME);
    ensure!(zero, "the first vCPU has the event");
    Ok(())
}

fn is_zero(memory: &[u8], range: Range<u64>) -> bool {
    memory[range.start as usize..range.end as usize]
        .iter()
        .all(|&byte| byte == 0)
}
