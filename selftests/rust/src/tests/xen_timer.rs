// SPDX-License-Identifier: GPL-2.0

//! The timer of a Xen guest's vCPU: an event at a time, which the guest sets by two calls, and userspace by
//! an attribute.

use super::test;
use crate::clock::wait_for;
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{kvm_clock_data, KVM_XEN_VCPU_ATTR_TYPE_TIMER};
use kvmtest::vm::BASE;
use kvmtest::xen;
use kvmtest::xen_attr::{Attribute, Words};
use kvmtest::xen_calls::{Answer, Call, SET_TIMER, STOP_TIMER, TIMER, VCPU};
use kvmtest::xen_guest::{XenGuest, DATA, END, SHARED};
use kvmtest::xen_layout::Layout;
use std::thread::sleep;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    test("xen_timer_attribute", attribute),
    test("xen_timer_calls", calls),
    test("xen_timer_at_zero", at_zero),
    test("xen_timer_refused", refused),
    test("xen_timer_races", races),
];

const ATTRIBUTE: Attribute = Attribute::Vcpu(KVM_XEN_VCPU_ATTR_TYPE_TIMER as u16);
const PORT: u32 = 9;
const OTHER: u32 = 70;
/// No priorities: the only kind of event there is.
const TWO_LEVELS: u32 = u32::MAX;
/// Nanoseconds: before the test is over, and long after.
const SOON: u64 = 100_000_000;
const LATER: u64 = 3_600_000_000_000;
/// From now, in nanoseconds: what old guests did not mean, and what KVM takes it for.
const TOO_FAR: u64 = 1 << 51;
const INSTEAD: u64 = 100_000_000;
/// An event that comes has come by then.
const ENOUGH: Duration = Duration::from_millis(250);
/// How often a timer is set up anew while it may go off.
const RACES: u64 = 300;

/// A vCPU with a timer.
struct Timer(XenGuest, Layout);

impl Timer {
    fn new(backend: &str, layout: Layout) -> Result<Self> {
        let timer = Self(XenGuest::new(backend, layout)?, layout);
        xen::set_id(&timer.0.vcpu, 0)?;
        timer.set(PORT, 0)?;
        Ok(timer)
    }

    /// The time of the guest.
    fn now(&self) -> Result<u64> {
        Ok(self.0.vm.fd.get_clock().context("KVM_GET_CLOCK")?.clock)
    }

    fn set(&self, port: u32, time: u64) -> Result<()> {
        let error = ATTRIBUTE.set(&self.0.vm, &self.0.vcpu, words(port, TWO_LEVELS, time));
        ensure!(error == 0, "setting the timer: {error}");
        Ok(())
    }

    /// What userspace would take along to another host.
    fn get(&self) -> Result<(u32, u64)> {
        let (error, found) = ATTRIBUTE.get(&self.0.vm, &self.0.vcpu);
        ensure!(error == 0, "getting the timer: {error}");
        ensure!(found[0] >> 32 == u64::from(TWO_LEVELS), "{found:x?}");
        Ok((found[0] as u32, found[1]))
    }

    fn is(&self, port: u32, time: u64) -> Result<()> {
        let found = self.get()?;
        ensure!(
            found == (port, time),
            "{found:?} instead of {:?}",
            (port, time)
        );
        Ok(())
    }

    /// Sets it, and lets `change` set it anew before it goes off. On a busy machine that may take several times.
    fn change(&self, change: impl Fn() -> Result<()>) -> Result<()> {
        loop {
            let soon = self.now()? + SOON;
            self.set(PORT, soon)?;
            change()?;
            if self.now()? < soon {
                return Ok(());
            }
            self.0.memory.write(self.place(PORT).0, &[0]);
        }
    }

    /// Sets it to 0, which is soon on the guest's clock.
    fn set_to_zero(&mut self, width: Layout) -> Result<()> {
        let clock = kvm_clock_data {
            clock: 0u64.wrapping_sub(SOON),
            ..Default::default()
        };
        self.0.vm.fd.set_clock(&clock).context("KVM_SET_CLOCK")?;
        self.set_by_vcpu_op(width, 0)
    }

    /// As above, and lets `change` change it before it goes off.
    fn change_before_zero(
        &mut self,
        width: Layout,
        change: impl Fn(&mut Self) -> Result<()>,
    ) -> Result<()> {
        loop {
            self.set(PORT, 0)?;
            self.set_to_zero(width)?;
            change(self)?;
            // Before it is at 0, it is at what would be a negative number.
            if (self.now()? as i64) < 0 {
                return Ok(());
            }
            self.0.memory.write(self.place(PORT).0, &[0]);
        }
    }

    fn place(&self, port: u32) -> (u64, u8) {
        let byte = self.1.pending().start + u64::from(port / 8);
        (SHARED + byte, 1 << (port % 8))
    }

    fn has_event(&self, port: u32) -> bool {
        let (byte, bit) = self.place(port);
        self.0.memory.read()[byte as usize] & bit != 0
    }

    fn comes(&self, port: u32) -> Result<()> {
        wait_for("the timer's event", || Ok(self.has_event(port)))?;
        self.0.memory.write(self.place(port).0, &[0]);
        Ok(())
    }

    fn does_not_come(&self, port: u32) -> Result<()> {
        sleep(ENOUGH);
        ensure!(!self.has_event(port), "an event of channel {port}");
        Ok(())
    }

    fn call(&mut self, width: Layout, call: Call) -> Result<Answer> {
        self.0.caller.call(&mut self.0.vcpu, width, 0, call)
    }

    /// The guest sets it to `time`.
    fn set_by_vcpu_op(&mut self, width: Layout, time: u64) -> Result<()> {
        self.0.memory.write(DATA, &time.to_le_bytes());
        let answer = self.call(width, Call::new(VCPU, &[SET_TIMER, 0, BASE + DATA]))?;
        is_zero(answer)
    }

    fn set_by_timer_op(&mut self, width: Layout, time: u64) -> Result<()> {
        let call = match width {
            Layout::Compat => Call::new(TIMER, &[time & u64::from(u32::MAX), time >> 32]),
            Layout::Native => Call::new(TIMER, &[time]),
        };
        let answer = self.call(width, call)?;
        is_zero(answer)
    }

    /// What is no time, or too far from now, means soon. On a busy machine it may be over when somebody looks.
    fn is_soon(&mut self, width: Layout, time: u64) -> Result<()> {
        let before = self.now()?;
        self.set_by_timer_op(width, time)?;
        let (_, due) = self.get()?;
        let after = self.now()?;
        ensure!(
            (before + INSTEAD..=after + INSTEAD).contains(&due)
                || (due == 0 && after >= before + INSTEAD),
            "it is due at {due}, and was set between {before} and {after}"
        );
        self.comes(PORT)
    }
}

fn is_zero(answer: Answer) -> Result<()> {
    ensure!(answer == Answer::Kernel(0), "{answer:x?}");
    Ok(())
}

fn words(port: u32, priority: u32, time: u64) -> Words {
    let first = u64::from(port) | u64::from(priority) << 32;
    [first, time, 0, 0, 0, 0, 0, 0]
}

/// Userspace sets it, sees it, sees it gone, and may set it anew.
fn attribute(backend: &str) -> Result<()> {
    for layout in Layout::ALL {
        let timer = Timer::new(backend, layout)?;
        let error = ATTRIBUTE.set(&timer.0.vm, &timer.0.vcpu, words(PORT, 0, 0));
        ensure!(error == libc::EINVAL, "a priority: {error}");
        let error = ATTRIBUTE.set(&timer.0.vm, &timer.0.vcpu, words(0, 0, 0));
        ensure!(error == 0, "no channel, with a priority: {error}");

        let later = timer.now()? + LATER;
        timer.set(PORT, later)?;
        (0..3).try_for_each(|_| timer.is(PORT, later))?;
        timer.set(PORT, 1)?;
        timer.comes(PORT).context("a time that is over")?;
        timer.is(PORT, 0)?;

        timer.set(PORT, timer.now()? + SOON)?;
        timer.get()?;
        timer.comes(PORT).context("a time to come, also if asked")?;
        timer.is(PORT, 0)?;

        timer.change(|| timer.set(OTHER, 0))?;
        for port in [PORT, OTHER] {
            timer
                .does_not_come(port)
                .context("a timer that was stopped")?;
        }
        timer.change(|| timer.set(OTHER, timer.now()? + SOON / 2))?;
        timer.comes(OTHER).context("a timer that was set anew")?;
        timer
            .does_not_come(PORT)
            .context("a timer that was set anew")?;
    }
    Ok(())
}

/// The guest sets it and stops it, by either call.
fn calls(backend: &str) -> Result<()> {
    type Set = fn(&mut Timer, Layout, u64) -> Result<()>;
    for layout in Layout::ALL {
        for width in Layout::ALL {
            let mut timer = Timer::new(backend, layout)?;
            for set in [Timer::set_by_vcpu_op as Set, Timer::set_by_timer_op] {
                let later = timer.now()? + LATER;
                set(&mut timer, width, later)?;
                timer.is(PORT, later)?;
                set(&mut timer, width, 1)?;
                timer.comes(PORT).context("a time that is over")?;
                let soon = timer.now()? + SOON;
                set(&mut timer, width, soon)?;
                timer.comes(PORT).context("a time to come")?;
                timer.is(PORT, 0)?;
                set(&mut timer, width, later)?;
                let stop = Call::new(VCPU, &[STOP_TIMER, 0]);
                is_zero(timer.call(width, stop)?)?;
                timer.is(PORT, 0)?;
            }
            timer.set_by_timer_op(width, 0)?;
            timer.is(PORT, 0).context("a time of zero")?;
            for time in [u64::MAX, timer.now()? + TOO_FAR] {
                timer
                    .is_soon(width, time)
                    .with_context(|| format!("{time:#x}"))?;
            }
            let far = timer.now()? + TOO_FAR;
            timer.set_by_vcpu_op(width, far)?;
            timer.is(PORT, far).context("the other call")?;
        }
    }
    Ok(())
}

/// The guest's clock is about to be at 0 again, and the guest sets the timer to that. Whatever 0 means elsewhere: the
/// timer is not stopped, and can be, also by taking its channel away.
fn at_zero(backend: &str) -> Result<()> {
    for width in Layout::ALL {
        let mut timer = Timer::new(backend, Layout::Native)?;
        timer.set_to_zero(width)?;
        timer.comes(PORT).context("a time to come")?;
        let stop = Call::new(VCPU, &[STOP_TIMER, 0]);
        timer.change_before_zero(width, |timer| is_zero(timer.call(width, stop)?))?;
        timer
            .does_not_come(PORT)
            .context("a timer that was stopped")?;
        timer.change_before_zero(width, |timer| timer.set(0, 0))?;
        timer.does_not_come(PORT).context("no channel")?;
        timer.does_not_come(0).context("no channel")?;
        timer.change_before_zero(width, |timer| timer.set(0, 0))?;
        // A vCPU goes that has no channel for its timer. Its memory must not be used any more.
        drop(timer);
        sleep(ENOUGH);
    }
    Ok(())
}

/// For another vCPU, from where there is no memory, or while userspace does not want it.
fn refused(backend: &str) -> Result<()> {
    for width in Layout::ALL {
        let mut timer = Timer::new(backend, Layout::Compat)?;
        for call in [[SET_TIMER, 1, BASE + DATA], [STOP_TIMER, 1, 0]] {
            let answer = timer.call(width, Call::new(VCPU, &call))?;
            ensure!(answer == Answer::Kernel(-libc::EINVAL), "{answer:x?}");
        }
        // A guest of 64 bits gives four bytes more, that say nothing.
        for (before, wanted) in [
            (16, [0, 0]),
            (12, [0, -libc::EFAULT]),
            (11, [-libc::EFAULT; 2]),
        ] {
            let place = BASE + END - before;
            let answer = timer.call(width, Call::new(VCPU, &[SET_TIMER, 0, place]))?;
            let wanted = Answer::Kernel(wanted[usize::from(width == Layout::Native)]);
            ensure!(answer == wanted, "{before} bytes: {answer:x?}");
        }
        timer.set(0, 0)?;
        for call in [
            Call::new(VCPU, &[SET_TIMER, 0, BASE + DATA]),
            Call::new(VCPU, &[STOP_TIMER, 0]),
            Call::new(TIMER, &[1]),
        ] {
            let answer = timer.call(width, call)?;
            ensure!(matches!(answer, Answer::Userspace { .. }), "{answer:x?}");
        }
    }
    Ok(())
}

/// Set anew while it goes off: in the end it is what was set last, and no event is lost.
fn races(backend: &str) -> Result<()> {
    let timer = Timer::new(backend, Layout::Native)?;
    for round in 0..RACES {
        timer.set(PORT, timer.now()? + round * 1_000)?;
        timer.get()?;
        let soon = timer.now()? + (RACES - round) * 1_000;
        timer.set(OTHER, soon)?;
        let (port, time) = timer.get()?;
        ensure!(
            port == OTHER && (time == soon || time == 0),
            "{time} for channel {port} instead of {soon}"
        );
        timer
            .comes(OTHER)
            .with_context(|| format!("round {round}"))?;
        timer.is(OTHER, 0)?;
    }
    Ok(())
}
