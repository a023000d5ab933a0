// SPDX-License-Identifier: GPL-2.0

//! A Xen guest that moves from VM to VM, on C and on Rust, as a live migration would move it: everything that
//! KVM tells of it is given to the next VM, which tells the same. For the guest, time goes on, the times of its
//! vCPU's states grow, and a timer goes off where the guest is then.

use super::mixed;
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{
    kvm_clock_data, KVM_XEN_ATTR_TYPE_LONG_MODE, KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG,
    KVM_XEN_ATTR_TYPE_SHARED_INFO, KVM_XEN_ATTR_TYPE_XEN_VERSION,
    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
    KVM_XEN_VCPU_ATTR_TYPE_TIMER, KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
    KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
    KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
};
use kvmtest::backend::{C, RUST};
use kvmtest::memory::{Backing, Memory, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use kvmtest::watch::{States, Watch};
use kvmtest::xen;
use kvmtest::xen_attr::{Attribute, Words};
use kvmtest::xen_layout::Layout;

pub const TESTS: &[Test] = &[mixed("xen_moves", moves)];

/// Where the guest goes.
const STATIONS: [&str; 6] = [C, RUST, C, RUST, RUST, C];
/// In the guest's memory: the page of all vCPUs, that of the one, its second clock, its states in two pages.
const SHARED: u64 = 0;
const INFO: u64 = PAGE_4K;
const CLOCK: u64 = PAGE_4K + 128;
const STATES: u64 = 3 * PAGE_4K - 20;
const PAGES: u64 = 4;
/// The channel of the timer, and its byte and bit in the shared page.
const PORT: u64 = 9;
const EVENT: (u64, u8) = (SHARED + xen::PENDING + PORT / 8, 1 << (PORT % 8));
/// Nanoseconds from the setting of the timer to its event. The guest has left by then.
const SOON: u64 = 1_000_000_000;
/// There are no priorities.
const TIMER_PORT: u64 = PORT | (u32::MAX as u64) << 32;
/// A vector that no program of the test has a use for.
const VECTOR: u64 = 0x30;
const XEN_VERSION: u64 = 0x4_0011;

const TIMER: Attribute = Attribute::Vcpu(KVM_XEN_VCPU_ATTR_TYPE_TIMER as u16);

/// All that KVM keeps, in an order in which it can be given back: the times before the place where the
/// kernel writes them.
type State = Vec<(Attribute, Words)>;

/// What a guest has when it starts.
fn start(layout: Layout) -> State {
    let long = u64::from(layout == Layout::Native);
    let attributes = [
        (vm(KVM_XEN_ATTR_TYPE_LONG_MODE), long),
        (vm(KVM_XEN_ATTR_TYPE_XEN_VERSION), XEN_VERSION),
        (vm(KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG), 1),
        (vm(KVM_XEN_ATTR_TYPE_SHARED_INFO), (BASE + SHARED) / PAGE_4K),
        (vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID), 3),
        (vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO), BASE + INFO),
        (vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO), BASE + CLOCK),
        (vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA), 0),
        (vcpu(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR), BASE + STATES),
        (vcpu(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR), VECTOR),
        (TIMER, TIMER_PORT),
    ];
    let words = attributes.map(|(attribute, value)| (attribute, with(value)));
    words.to_vec()
}

fn vm(type_: u32) -> Attribute {
    Attribute::Vm(type_ as u16)
}

fn vcpu(type_: u32) -> Attribute {
    Attribute::Vcpu(type_ as u16)
}

fn with(value: u64) -> Words {
    let mut words = [0; 8];
    words[0] = value;
    words
}

/// A VM that has the guest.
struct Station {
    vm: Vm,
    vcpu: Vcpu,
    watch: Watch,
    layout: Layout,
}

impl Station {
    /// On `backend`, with what the guest's last VM has told.
    fn new(
        backend: &str,
        layout: Layout,
        memory: &Memory,
        state: &State,
        clock: Option<kvm_clock_data>,
    ) -> Result<Self> {
        let vm = Vm::new(backend)?;
        vm.fd.create_irq_chip().context("KVM_CREATE_IRQCHIP")?;
        vm.set(&Slot::of(memory), 0)?;
        xen::enable(&vm)?;
        let vcpu = vm.vcpu(0)?;
        if let Some(clock) = clock {
            vm.fd.set_clock(&clock).context("KVM_SET_CLOCK")?;
        }
        let station = Self {
            watch: Watch::new(&vm)?,
            vm,
            vcpu,
            layout,
        };
        for &(attribute, words) in state {
            station.set(attribute, words)?;
        }
        Ok(station)
    }

    fn set(&self, attribute: Attribute, words: Words) -> Result<()> {
        let error = attribute.set(&self.vm, &self.vcpu, words);
        ensure!(error == 0, "setting {attribute:?} to {words:x?}: {error}");
        Ok(())
    }

    /// The same attributes now.
    fn tell(&self, like: &State) -> Result<State> {
        let attributes = like.iter().map(|&(attribute, _)| {
            let (error, words) = attribute.get(&self.vm, &self.vcpu);
            ensure!(error == 0, "getting {attribute:?}: {error}");
            Ok((attribute, words))
        });
        attributes.collect()
    }

    /// What the guest sees of its time, and of the times of its states.
    fn read(&mut self) -> Result<(u64, States)> {
        // The program looks for the times where a guest of 32 bits has them.
        let states = BASE + STATES + self.layout.until() - Layout::Compat.until();
        self.vcpu
            .run(&Watch::regs(0, BASE + INFO + xen::TIME, states))?;
        let (clock, states) = self.watch.seen(0);
        ensure!(clock.version != 0, "the kernel has written no clock");
        Ok((clock.read(), states))
    }

    fn clock(&self) -> Result<kvm_clock_data> {
        self.vm.fd.get_clock().context("KVM_GET_CLOCK")
    }
}

fn moves(_: &str) -> Result<()> {
    for layout in Layout::ALL {
        let memory = Memory::new(PAGES * PAGE_4K, Backing::Small)?;
        let (mut state, mut clock) = (start(layout), None);
        let mut last = (0, States::default());
        for (number, backend) in STATIONS.into_iter().enumerate() {
            let station = Station::new(backend, layout, &memory, &state, clock)
                .and_then(|station| visit(station, &memory, &state, &mut last, number > 0));
            let left = station.with_context(|| format!("{layout:?}, station {number}"))?;
            (state, clock) = (left.0, Some(left.1));
        }
    }
    Ok(())
}

/// The guest is here for a while. What it has when it leaves, with a timer that has not gone off.
fn visit(
    mut station: Station,
    memory: &Memory,
    brought: &State,
    last: &mut (u64, States),
    timer: bool,
) -> Result<(State, kvm_clock_data)> {
    for (told, brought) in station.tell(brought)?.iter().zip(brought) {
        ensure!(told == brought, "{told:x?} instead of {brought:x?}");
    }
    if timer {
        let (byte, bit) = EVENT;
        wait_for("the timer's event", || {
            Ok(memory.read()[byte as usize] & bit != 0)
        })?;
        memory.write(byte, &[0]);
    }
    let now = station.read()?;
    follows(*last, now)?;
    *last = now;
    let mut words = with(TIMER_PORT);
    words[1] = station.clock()?.clock + SOON;
    station.set(TIMER, words)?;
    let left = (station.tell(brought)?, station.clock()?);
    let (byte, bit) = EVENT;
    ensure!(
        memory.read()[byte as usize] & bit == 0,
        "the timer has gone off too early"
    );
    Ok(left)
}

/// Nothing has gone back.
fn follows((time, before): (u64, States), (now, states): (u64, States)) -> Result<()> {
    ensure!(now > time, "the time went from {time} to {now}");
    let mut both = before.times.iter().zip(states.times);
    ensure!(
        states.until > before.until && both.all(|(&before, now)| now >= before),
        "{states:?} do not follow {before:?}"
    );
    Ok(())
}
