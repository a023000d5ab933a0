// SPDX-License-Identifier: GPL-2.0

//! Attributes of Xen guests, set to right and wrong values alike: C and Rust take and refuse the same, and
//! have the same afterwards.

use super::mixed;
use crate::clock::repeat;
use crate::harness::Test;
use crate::rng::Rng;
use anyhow::{ensure, Result};
use kvm_bindings::{
    kvm_xen_hvm_config, KVM_XEN_ATTR_TYPE_EVTCHN, KVM_XEN_ATTR_TYPE_SHARED_INFO,
    KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, KVM_XEN_MSR_MAX_INDEX, KVM_XEN_MSR_MIN_INDEX,
    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
    KVM_XEN_VCPU_ATTR_TYPE_TIMER,
};
use kvmtest::backend::{C, RUST};
use kvmtest::memory::PAGE_4K;
use kvmtest::vm::{Slot, BASE};
use kvmtest::xen_attr::{configure, Attribute, Words};
use kvmtest::xen_guest::{XenGuest, END};
use kvmtest::xen_layout::Layout;
use std::fmt::Debug;
use std::os::fd::AsRawFd;
use vmm_sys_util::eventfd::EventFd;

pub const TESTS: &[Test] = &[mixed("xen_attrs_random", random)];

const SEED: u64 = 24;
const MILLIS: u64 = 5_000;
const TIMES: u32 = 3_000;
/// So many attributes there are, and one more.
const VM: u64 = 8;
const VCPU: u64 = 11;
/// Each bit of the configuration's flags that means something, and one more.
const FLAGS: u64 = 1 << 10;
/// Nanoseconds that have passed for certain since the last call.
const PASSED: u64 = 20;

/// When a timer's event comes: never, at once, or when the test is long over.
const EXPIRIES: [u64; 4] = [0, 1, 1 << 62, u64::MAX];

/// What a value may be: something that is there, something near its limit, or anything.
struct Values {
    rng: Rng,
    memory: u64,
    eventfd: EventFd,
}

impl Values {
    fn any(&mut self) -> u64 {
        let inside = self.rng.within(0..END + 8);
        match self.rng.within(0..8) {
            0 => 0,
            1 => self.rng.within(0..20),
            2 => BASE + inside,
            3 => BASE + inside / PAGE_4K * PAGE_4K,
            4 => BASE / PAGE_4K + self.rng.within(0..5),
            5 => self.memory + inside,
            6 => self.memory + inside / PAGE_4K * PAGE_4K,
            _ => self.rng.next() >> self.rng.within(0..64),
        }
    }

    /// For half a word, of which a channel is told.
    fn half(&mut self) -> u64 {
        let half = match self.rng.within(0..6) {
            0 => self.rng.within(0..8),
            1 => 1022 + self.rng.within(0..4),
            2 => 4094 + self.rng.within(0..4),
            3 => self.eventfd.as_raw_fd() as u64,
            4 => u64::MAX,
            _ => 5,
        };
        half & u64::from(u32::MAX)
    }

    fn words(&mut self, attribute: Attribute) -> Words {
        let mut words = [0; 8];
        match attribute {
            Attribute::Vm(type_) if u32::from(type_) == KVM_XEN_ATTR_TYPE_EVTCHN => {
                words = words.map(|_| self.half() | self.half() << 32);
            }
            Attribute::Vcpu(type_) if u32::from(type_) == KVM_XEN_VCPU_ATTR_TYPE_TIMER => {
                words[0] = self.half() | self.half() << 32;
                words[1] = EXPIRIES[self.rng.within(0..EXPIRIES.len() as u64) as usize];
            }
            Attribute::Vcpu(type_) if has_times(type_) && self.rng.once_in(2) => {
                words = self.times();
            }
            _ => words.iter_mut().for_each(|word| *word = self.any()),
        }
        if turns_off(attribute, words) {
            words[0] = BASE;
        }
        words
    }

    /// A state, a time, and four that add up to it, or miss it by one.
    fn times(&mut self) -> Words {
        let parts = [(); 4].map(|()| self.rng.within(0..PASSED / 4));
        let sum = parts.iter().sum::<u64>() + u64::from(self.rng.once_in(4));
        let state = self.rng.within(0..6).wrapping_sub(1);
        [state, sum, parts[0], parts[1], parts[2], parts[3], 0, 0]
    }

    fn config(&mut self) -> kvm_xen_hvm_config {
        let mut config = kvm_xen_hvm_config {
            flags: self.rng.within(0..FLAGS) as u32,
            msr: KVM_XEN_MSR_MIN_INDEX + self.rng.within(0..4) as u32,
            ..Default::default()
        };
        match self.rng.within(0..6) {
            0 => config.msr = 0,
            1 => config.msr = KVM_XEN_MSR_MIN_INDEX - 1,
            2 => config.msr = KVM_XEN_MSR_MAX_INDEX + self.rng.within(0..2) as u32,
            3 => config.blob_addr_32 = self.memory,
            4 => config.blob_size_64 = 1,
            _ => {}
        }
        config
    }
}

fn has_times(type_: u16) -> bool {
    let times = [
        KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
        KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST,
    ];
    times.contains(&type_.into())
}

/// An event that has no shared page makes C warn (docs/upstream/07-inactive-cache.md).
fn turns_off(attribute: Attribute, words: Words) -> bool {
    let Attribute::Vm(type_) = attribute else {
        return false;
    };
    match u32::from(type_) {
        KVM_XEN_ATTR_TYPE_SHARED_INFO => words[0] == u64::MAX,
        KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA => words[0] == 0,
        _ => false,
    }
}

fn random(_: &str) -> Result<()> {
    let guests = [C, RUST].map(|backend| XenGuest::new(backend, Layout::Compat));
    let [c, rust] = guests;
    let (c, rust) = (c?, rust?);
    // One memory for both, so that addresses mean the same.
    rust.vm.delete(&Slot::of(&rust.memory))?;
    rust.vm.set(&Slot::of(&c.memory), 0)?;
    let mut values = Values {
        rng: Rng::new(SEED),
        memory: c.memory.address(),
        eventfd: EventFd::new(libc::EFD_NONBLOCK)?,
    };
    repeat(MILLIS, TIMES, |_| {
        if values.rng.once_in(20) {
            let config = values.config();
            let errors = [&c, &rust].map(|guest| configure(&guest.vm, &config));
            return is_equal(&config, errors);
        }
        let attribute = match values.rng.within(0..VM + VCPU) {
            number @ ..VM => Attribute::Vm(number as u16),
            number => Attribute::Vcpu((number - VM) as u16),
        };
        let words = values.words(attribute);
        let errors = [&c, &rust].map(|guest| attribute.set(&guest.vm, &guest.vcpu, words));
        is_equal(&(attribute, words), errors)?;
        let now =
            [&c, &rust].map(|guest| of_no_time(attribute, attribute.get(&guest.vm, &guest.vcpu)));
        is_equal(&attribute, now)
    })
}

/// Of the times that a vCPU was in its states, only the last state is comparable.
fn of_no_time(attribute: Attribute, (error, mut words): (i32, Words)) -> (i32, Words) {
    if matches!(attribute, Attribute::Vcpu(type_) if has_times(type_)) {
        words[1..].fill(0);
    }
    (error, words)
}

fn is_equal<T: Debug + PartialEq>(what: &impl Debug, [c, rust]: [T; 2]) -> Result<()> {
    ensure!(c == rust, "{what:x?}: {c:x?} on C, {rust:x?} on Rust");
    Ok(())
}
