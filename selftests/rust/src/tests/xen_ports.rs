// SPDX-License-Identifier: GPL-2.0

//! Ports that a Xen guest sends by: each leads where userspace has said last, to a vCPU's port or to an eventfd, or to
//! userspace itself.

use super::test;
use crate::harness::Test;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::BASE;
use kvmtest::xen::{self, Area, TIME, UPCALL};
use kvmtest::xen_calls::{Answer, Call, CHANNEL, SEND};
use kvmtest::xen_guest::{XenGuest, DATA, INFO, SHARED};
use kvmtest::xen_layout::Layout;
use kvmtest::xen_ports::{Kind, Order, Said, Target};
use std::os::fd::AsRawFd;
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[test("xen_ports_lead", lead)];

/// By which the guest sends, and where one may lead to.
const PORT: u32 = 5;
const OTHER: u32 = 70;
const THERE: u32 = 900;
/// The number of no vCPU.
const NOBODY: u32 = 7;
/// Where the second vCPU has its page.
const SECOND: u64 = INFO + 1024;
const SENDING: Call = Call::new(CHANNEL, &[SEND, BASE + DATA]);

/// Where what the guest has sent went to.
#[derive(Debug, PartialEq)]
enum Went {
    /// To the port of a vCPU.
    Port(u32, u32),
    /// To no vCPU.
    Elsewhere,
    /// To userspace, as a call.
    Userspace,
}
use Went::{Elsewhere, Userspace};

/// A guest of two vCPUs, of which the first one sends.
struct Sender {
    guest: XenGuest,
    _second: Vcpu,
    layout: Layout,
}

impl Sender {
    fn new(backend: &str, layout: Layout) -> Result<Self> {
        let guest = XenGuest::new(backend, layout)?;
        let _second = guest.vm.vcpu(1)?;
        xen::set_area(&_second, Area::Info, Some(BASE + SECOND))
            .context("setting the vCPU's page")?;
        guest.memory.store(DATA, PORT);
        Ok(Self {
            guest,
            _second,
            layout,
        })
    }

    /// Says it, and gets this error.
    fn says(&self, said: Said, error: i32) -> Result<()> {
        let found = said.say(&self.guest.vm.fd);
        ensure!(found == error, "{said:?}: {found} instead of {error}");
        Ok(())
    }

    fn leads(&mut self, port: u32, wanted: Went) -> Result<()> {
        self.clear();
        self.guest.memory.store(DATA, port);
        let XenGuest { caller, vcpu, .. } = &mut self.guest;
        let answer = caller.call(vcpu, self.layout, 0, SENDING)?;
        let found = match (answer, self.event()?) {
            (Answer::Kernel(0), Some((port, vcpu))) => Went::Port(port, vcpu),
            (Answer::Kernel(0), None) => Elsewhere,
            (Answer::Userspace { .. }, None) => Userspace,
            other => bail!("{port}: {other:x?}"),
        };
        ensure!(found == wanted, "{port}: {found:?} instead of {wanted:?}");
        Ok(())
    }

    /// No port has an event.
    fn clear(&self) {
        let memory = &self.guest.memory;
        let pending = self.layout.pending();
        let bits = vec![0; (pending.end - pending.start) as usize];
        for page in [INFO, SECOND] {
            memory.write(page, &[0; TIME as usize]);
        }
        memory.write(SHARED + pending.start, &bits);
    }

    /// The port that has an event, and whose it is.
    fn event(&self) -> Result<Option<(u32, u32)>> {
        let memory = self.guest.memory.read();
        let has = |port: &u32| {
            let byte = SHARED + self.layout.pending().start + u64::from(port / 8);
            memory[byte as usize] & 1 << (port % 8) != 0
        };
        let ports: Vec<u32> = (0..self.layout.ports()).filter(has).collect();
        let told = [INFO, SECOND].map(|page| memory[(page + UPCALL) as usize]);
        match (&ports[..], told) {
            ([], [0, 0]) => Ok(None),
            (&[port], [1, 0]) => Ok(Some((port, 0))),
            (&[port], [0, 1]) => Ok(Some((port, 1))),
            other => bail!("the events, and who knows: {other:?}"),
        }
    }
}

fn assign(kind: Kind, port: u32, to: Target) -> Said {
    Said::new(Order::Assign, kind, port, to)
}

fn update(kind: Kind, port: u32, to: Target) -> Said {
    Said::new(Order::Update, kind, port, to)
}

fn deassign(port: u32) -> Said {
    Said::new(Order::Deassign, Kind::Ipi, port, Target::Port(0, 0))
}

fn reset() -> Said {
    Said::new(Order::Reset, Kind::Ipi, 0, Target::Port(0, 0))
}

fn lead(backend: &str) -> Result<()> {
    type Part = fn(&mut Sender) -> Result<()>;
    let parts: [(&str, Part); 5] = [
        ("assigned", assigned),
        ("updated", updated),
        ("to an eventfd", to_eventfd),
        ("reset", all_reset),
        ("wrong", wrong),
    ];
    for layout in Layout::ALL {
        let mut sender = Sender::new(backend, layout)?;
        for (name, part) in parts {
            part(&mut sender).with_context(|| format!("{layout:?}, {name}"))?;
            sender.says(reset(), 0)?;
        }
    }
    Ok(())
}

/// A port is assigned once, and leads nowhere when it is no more.
fn assigned(sender: &mut Sender) -> Result<()> {
    let (here, there) = (Target::Port(PORT, 0), Target::Port(THERE, 1));
    sender.leads(PORT, Userspace)?;
    sender.says(deassign(PORT), libc::ENOENT)?;
    sender.says(assign(Kind::Ipi, PORT, here), 0)?;
    sender.leads(PORT, Went::Port(PORT, 0))?;
    sender.says(assign(Kind::Interdomain, PORT, there), libc::EEXIST)?;
    sender.leads(PORT, Went::Port(PORT, 0))?;
    sender.says(assign(Kind::Interdomain, OTHER, there), 0)?;
    sender.leads(OTHER, Went::Port(THERE, 1))?;
    sender.leads(THERE, Userspace)?;
    sender.says(deassign(PORT), 0)?;
    sender.leads(PORT, Userspace)?;
    sender.leads(OTHER, Went::Port(THERE, 1))?;
    sender.says(deassign(PORT), libc::ENOENT)?;
    sender.says(assign(Kind::Interdomain, PORT, there), 0)?;
    sender.leads(PORT, Went::Port(THERE, 1))
}

/// An update is for another vCPU, and for nothing else.
fn updated(sender: &mut Sender) -> Result<()> {
    let at = |vcpu| Target::Port(THERE, vcpu);
    let move_to = |vcpu| update(Kind::Interdomain, PORT, at(vcpu));
    sender.says(move_to(1), libc::ENOENT)?;
    sender.says(assign(Kind::Interdomain, PORT, at(0)), 0)?;
    for vcpu in [0, 1, 1, 0, 1] {
        sender.says(move_to(vcpu), 0)?;
        sender.leads(PORT, Went::Port(THERE, vcpu))?;
    }
    for wrong in [
        update(Kind::Ipi, PORT, at(0)),
        update(Kind::Interdomain, PORT, Target::Port(OTHER, 0)),
        update(Kind::Interdomain, PORT, Target::EventFd(-1)),
        Said {
            priority: 0,
            ..move_to(0)
        },
    ] {
        sender.says(wrong, libc::EINVAL)?;
        sender.leads(PORT, Went::Port(THERE, 1))?;
    }
    sender.says(move_to(NOBODY), 0)?;
    sender.leads(PORT, Userspace)?;
    sender.says(move_to(0), 0)?;
    sender.leads(PORT, Went::Port(THERE, 0))
}

/// An eventfd is signalled once for each event, and no more when the port leads elsewhere.
fn to_eventfd(sender: &mut Sender) -> Result<()> {
    let bell = EventFd::new(libc::EFD_NONBLOCK)?;
    let to = Target::EventFd(bell.as_raw_fd());
    sender.says(assign(Kind::Interdomain, PORT, to), 0)?;
    sender.leads(PORT, Elsewhere)?;
    sender.leads(PORT, Elsewhere)?;
    ensure!(bell.read()? == 2, "the eventfd has a wrong number");
    sender.says(
        update(Kind::Interdomain, PORT, Target::Port(0, 1)),
        libc::EINVAL,
    )?;
    sender.says(update(Kind::Interdomain, PORT, to), libc::EINVAL)?;
    sender.leads(PORT, Elsewhere)?;
    sender.says(deassign(PORT), 0)?;
    sender.says(assign(Kind::Interdomain, PORT, Target::Port(THERE, 0)), 0)?;
    sender.leads(PORT, Went::Port(THERE, 0))?;
    ensure!(bell.read()? == 1, "the eventfd has a wrong number");
    for (fd, error) in [
        (-1, libc::EBADF),
        (sender.guest.vm.fd.as_raw_fd(), libc::EINVAL),
    ] {
        sender.says(assign(Kind::Interdomain, OTHER, Target::EventFd(fd)), error)?;
        sender.leads(OTHER, Userspace)?;
    }
    Ok(())
}

fn all_reset(sender: &mut Sender) -> Result<()> {
    let bell = EventFd::new(libc::EFD_NONBLOCK)?;
    let all = [
        (PORT, Target::Port(THERE, 0)),
        (OTHER, Target::Port(PORT, 1)),
        (THERE, Target::EventFd(bell.as_raw_fd())),
    ];
    for round in 0..2 {
        for (port, to) in all {
            sender.says(assign(Kind::Interdomain, port, to), 0)?;
        }
        // The rest of what it is given does not matter.
        let port = [0, u32::MAX][round];
        sender.says(
            Said {
                port,
                kind: 99,
                ..reset()
            },
            0,
        )?;
        for (port, _) in all {
            sender.leads(port, Userspace)?;
            sender.says(deassign(port), libc::ENOENT)?;
        }
    }
    let error = bell.read().err().map(|error| error.raw_os_error());
    ensure!(
        error == Some(Some(libc::EAGAIN)),
        "the eventfd has a number"
    );
    sender.says(reset(), 0)
}

/// None of these does anything.
fn wrong(sender: &mut Sender) -> Result<()> {
    let good = assign(Kind::Ipi, PORT, Target::Port(PORT, 0));
    let end = sender.layout.ports();
    let numbers = [0, end, u32::MAX].map(|port| Said { port, ..good });
    let kinds = [0, 1, 3, 4, 6].map(|kind| Said { kind, ..good });
    let flags = [3, 5, 6, 7, 8, 1 << 31].map(|flags| Said { flags, ..good });
    let others = [
        Said {
            priority: 0,
            ..good
        },
        assign(Kind::Ipi, PORT, Target::Port(OTHER, 0)),
        assign(Kind::Interdomain, PORT, Target::Port(end, 0)),
        Said {
            port: end,
            ..deassign(PORT)
        },
        Said {
            port: 0,
            ..update(Kind::Ipi, PORT, Target::Port(PORT, 0))
        },
    ];
    let all = numbers.iter().chain(&kinds).chain(&flags).chain(&others);
    for said in all {
        sender.says(*said, libc::EINVAL)?;
        sender.leads(PORT, Userspace)?;
    }
    Ok(())
}
