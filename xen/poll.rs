// SPDX-License-Identifier: GPL-2.0

//! `SCHEDOP_poll`: a vCPU sleeps until a port of its choice is pending.
//!
//! What the guest asks for is read once, and each number is looked at before it is used: [`Request`] and
//! [`Ports`] are what remains.
//!
//! The vCPU says in a word what it polls for, and then looks whether that is pending already. A sender sets the
//! port's bit, and then looks at the word. Both steps of both are in this order for everybody, so one of them
//! sees the other. Whoever takes the word away wakes the vCPU, once.
//!
//! C counterpart: `kvm_xen_schedop_poll()`, `wait_pending_event()` and `kvm_xen_check_poller()`.

use super::hypercall::{
    Described,
    Refusal, //
};
use crate::{
    kvm::{
        gpc::{Gpc, GuestPage, PAGE_SIZE},
        xen::{Caller, Layout, Port, Target, NATIVE},
        SlotsHeld, //
    },
    sync::{Full, Relaxed}, //
};
use core::array;

/// Xen's limit, which it does not document.
pub const MAX_PORTS: usize = 128;
/// As many as there is room for without a thought.
const FEW: usize = 4;

/// A number as the guest has it in its memory.
pub type PortNumber = [u8; 4];

/// The vCPU's word: it does not poll.
const NOBODY: i32 = 0;
/// It polls for several ports, or for none.
const ANY: i32 = -1;

/// It polls for that port. Not [`NOBODY`], also if that is port 0.
fn only(port: Port) -> i32 {
    port.number() as i32 + 1
}

/// The guest must not ask for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl From<Invalid> for Refusal {
    fn from(_: Invalid) -> Self {
        Self::Invalid
    }
}

/// The guest polls for what it describes at its virtual address, by the structs of `layout`.
///
/// That is the layout of the code that calls. Its port numbers are those of the VM's layout.
pub fn poll(caller: &mut Caller<'_>, layout: Layout, described: Described) -> Result<(), Refusal> {
    let mut bytes: Bytes = [0; NATIVE.poll];
    let size = layout.places().poll;
    let read = caller.read(described.0, &mut bytes[..size]);
    read.ok_or(Refusal::Fault)?;
    let request = Request::new(layout, &bytes)?;
    // Guests wait for one port. To clear room for all costs more than the rest of the call.
    match request.count {
        ..=FEW => wait_for::<FEW>(caller, &request),
        _ => wait_for::<MAX_PORTS>(caller, &request),
    }
}

/// There are no more than `N` ports.
fn wait_for<const N: usize>(caller: &mut Caller<'_>, request: &Request) -> Result<(), Refusal> {
    let mut numbers = [[0; 4]; N];
    let numbers = &mut numbers[..request.count];
    let read = caller.read(request.ports, numbers.as_flattened_mut());
    read.ok_or(Refusal::Fault)?;
    let target = caller.target();
    let ports = Ports::new(target.layout(), numbers)?;
    let polling = Polling::begin(target.shared_info(), caller.slots(), target, ports);
    if polling.is_some() {
        caller.sleep(request.timeout());
    }
    Ok(())
}

/// What the guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    ports: u64,
    count: usize,
    timeout: u64,
}

/// A `struct sched_poll`, of whichever layout.
pub type Bytes = [u8; NATIVE.poll];

impl Request {
    /// What `bytes` say, of which `layout` has the first ones. Refuses more ports than Xen does.
    pub fn new(layout: Layout, bytes: &Bytes) -> Result<Self, Invalid> {
        let places = layout.places();
        let request = Self {
            ports: match layout {
                Layout::Compat => word(bytes, 0).into(),
                Layout::Native => long(bytes, 0),
            },
            count: word(bytes, places.poll_count) as usize,
            timeout: long(bytes, places.poll_timeout),
        };
        (request.count <= MAX_PORTS)
            .then_some(request)
            .ok_or(Invalid)
    }

    /// The guest's virtual address of its port numbers.
    pub fn ports(&self) -> u64 {
        self.ports
    }

    /// How many ports there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many nanoseconds to wait, if there is a limit.
    pub fn timeout(&self) -> Option<u64> {
        (self.timeout != 0).then_some(self.timeout)
    }
}

/// The number of four bytes at `at`.
fn word(bytes: &Bytes, at: usize) -> u32 {
    u32::from_le_bytes(array::from_fn(|byte| bytes[at + byte]))
}

/// That of eight bytes.
fn long(bytes: &Bytes, at: usize) -> u64 {
    u64::from_le_bytes(array::from_fn(|byte| bytes[at + byte]))
}

/// Ports that the guest has.
///
/// # Invariants
///
/// `layout` has a port of each of the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Ports<'a> {
    numbers: &'a [PortNumber],
    layout: Layout,
}

impl<'a> Ports<'a> {
    /// Those of these numbers. Refuses all if there is no such port.
    pub fn new(layout: Layout, numbers: &'a [PortNumber]) -> Result<Self, Invalid> {
        let port = |number: &PortNumber| layout.port(u32::from_le_bytes(*number));
        let known = numbers.iter().all(|number| port(number).is_some());
        // INVARIANT: Each was looked at.
        known.then_some(Self { numbers, layout }).ok_or(Invalid)
    }

    fn iter(&self) -> impl Iterator<Item = Port> + use<'_> {
        let port = |number: &PortNumber| self.layout.port(u32::from_le_bytes(*number));
        self.numbers.iter().filter_map(port)
    }

    /// What a vCPU that polls for them says.
    fn word(&self) -> i32 {
        let mut ports = self.iter();
        match (ports.next(), ports.next()) {
            (Some(port), None) => only(port),
            _ => ANY,
        }
    }

    /// Whether one of them is pending. Yes if that cannot be found out now: the guest looks itself.
    fn any_pending(&self, shared: &Gpc, slots: &SlotsHeld<'_>) -> bool {
        let Some(shared) = GuestPage::pin(shared, slots, PAGE_SIZE) else {
            return true;
        };
        let pending = |port: Port| shared.test_bit(port.pending_bit()) != Some(false);
        self.iter().any(pending)
    }
}

/// A vCPU that polls, until the value is dropped.
pub struct Polling<'a>(&'a Target);

impl<'a> Polling<'a> {
    /// The current task's vCPU polls for `ports`. `None` if one of them is pending: then it need not sleep.
    pub fn begin(
        shared: &Gpc,
        slots: &SlotsHeld<'_>,
        target: &'a Target,
        ports: Ports<'_>,
    ) -> Option<Self> {
        target.poll_word().xchg(ports.word(), Full);
        let polling = Self(target);
        (!ports.any_pending(shared, slots)).then_some(polling)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.poll_word().store(NOBODY, Relaxed);
    }
}

/// Wakes `target` if it polls for `port`, whose bit was set by a locked instruction.
pub fn wake(target: &Target, port: Port) {
    let word = target.poll_word();
    let polls_for = word.load(Relaxed);
    let wanted = polls_for == ANY || polls_for == only(port);
    if wanted && word.cmpxchg(polls_for, NOBODY, Relaxed).is_ok() {
        target.wake();
    }
}
