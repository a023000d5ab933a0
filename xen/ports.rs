// SPDX-License-Identifier: GPL-2.0

//! What userspace may say about the ports that a guest sends by: where each leads to.
//!
//! C counterpart: `kvm_xen_setattr_evtchn()`.

use crate::kvm::xen::{
    Assigned,
    Destination,
    Kind,
    Layout,
    TWO_LEVELS, //
};

/// Userspace's flags. Without one, a port is assigned.
pub(crate) const DEASSIGN: u32 = 1;
pub(crate) const UPDATE: u32 = 2;
pub(crate) const RESET: u32 = 4;

/// Xen's kinds of ports.
pub(crate) const IPI: u32 = 5;
pub(crate) const INTERDOMAIN: u32 = 2;

/// What userspace says, as the numbers that it gave.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The port that the guest sends by.
    pub port: u32,
    /// Which kind it is.
    pub kind: u32,
    /// What is to be done.
    pub flags: u32,
    /// The port that it leads to, or 0 for an eventfd.
    pub to: u32,
    /// The vCPU that it leads to.
    pub vcpu: u32,
    /// With which priority.
    pub priority: u32,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No port leads anywhere.
    RemoveAll,
    /// This port leads nowhere.
    Remove(u32),
    /// It leads to another vCPU, if it leads to a port: see [`Wish::moved`].
    Move(u32),
    /// It leads there, if it led nowhere. `None` stands for an eventfd.
    Assign(u32, Kind, Option<Route>),
}

/// A port of a vCPU. There need not be such a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The port's number.
    pub port: u32,
    /// The vCPU's id.
    pub vcpu: u32,
}

/// Userspace must not say that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl Wish {
    /// What is to be done in a VM of `layout`.
    pub fn order(&self, layout: Layout) -> Result<Order, Invalid> {
        if self.flags == RESET {
            return Ok(Order::RemoveAll);
        }
        if self.port == 0 || layout.port(self.port).is_none() {
            return Err(Invalid);
        }
        Ok(match self.flags {
            DEASSIGN => Order::Remove(self.port),
            UPDATE => Order::Move(self.port),
            0 => Order::Assign(self.port, self.kind()?, self.destination(layout)?),
            _ => return Err(Invalid),
        })
    }

    /// Where a port leads to from now on that is `old`. Only the vCPU may change.
    pub fn moved(&self, old: &Assigned) -> Result<Route, Invalid> {
        let same_port = match &old.to {
            Destination::Port(event) => event.port() == self.to,
            Destination::EventFd(_) => false,
        };
        if self.kind() != Ok(old.kind) || !same_port {
            return Err(Invalid);
        }
        self.route()
    }

    fn kind(&self) -> Result<Kind, Invalid> {
        match self.kind {
            IPI => Ok(Kind::Ipi),
            INTERDOMAIN => Ok(Kind::Interdomain),
            _ => Err(Invalid),
        }
    }

    fn route(&self) -> Result<Route, Invalid> {
        let route = Route {
            port: self.to,
            vcpu: self.vcpu,
        };
        let two_levels = self.priority == TWO_LEVELS;
        two_levels.then_some(route).ok_or(Invalid)
    }

    /// What interrupts another vCPU has the same number there. `None` stands for an eventfd.
    fn destination(&self, layout: Layout) -> Result<Option<Route>, Invalid> {
        let leads_there = match self.kind()? {
            Kind::Ipi => self.to == self.port,
            Kind::Interdomain if self.to == 0 => return Ok(None),
            Kind::Interdomain => layout.port(self.to).is_some(),
        };
        if !leads_there {
            return Err(Invalid);
        }
        self.route().map(Some)
    }
}
