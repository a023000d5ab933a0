// SPDX-License-Identifier: GPL-2.0

//! A guest that was made for Xen, and moves from host to host while it works ([`migrant`]).
//!
//! Its disk does not move along, so it waits until that is gone. Then each report says that Linux has all from
//! Xen that it had before, that timers go off, that the processors can call each other, and what others have had
//! of the processors' time.

use crate::migrant;
use crate::xen::{events, has_chosen_xen, Spent, CPUS, DISK, HVM, STEAL};
use anyhow::{ensure, Result};
use kvmtest::cpu;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::{self, sleep};
use std::time::Duration;

const CLOCK: &str = "xen";
const TIMERS: [&str; CPUS] = ["timer0", "timer1"];
/// What one processor calls another one by.
const CALLS: [&str; 4] = ["resched0", "resched1", "callfuncsingle0", "callfuncsingle1"];
/// A processor is called so often between two reports.
const TIMES: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Works until it is told to stop.
pub fn run() -> Result<()> {
    println!("guest: the disk may go");
    while Path::new(DISK).exists() {
        sleep(PAUSE);
    }
    println!("guest: the disk is gone");
    let spent = Spent::from_now()?;
    let mut seen = Seen::now()?;
    migrant::run(CLOCK, 0, || {
        has_chosen_xen(HVM)?;
        call()?;
        seen.goes_on()?;
        let stolen = spent.until_now()?;
        let stolen = stolen.iter().map(|spent| spent[STEAL].to_string());
        Ok(format!(
            "; stolen: {}",
            stolen.collect::<Vec<_>>().join(" ")
        ))
    })
}

/// How many events there were.
struct Seen {
    timers: [u64; CPUS],
    calls: u64,
}

impl Seen {
    fn now() -> Result<Self> {
        let mut timers = [0; CPUS];
        for (timer, name) in timers.iter_mut().zip(TIMERS) {
            *timer = events(name)?;
        }
        let calls = CALLS.into_iter().map(events).sum::<Result<u64>>()?;
        Ok(Self { timers, calls })
    }

    /// More than before.
    fn goes_on(&mut self) -> Result<()> {
        let now = Self::now()?;
        for (cpu, (before, now)) in self.timers.iter().zip(now.timers).enumerate() {
            ensure!(now > *before, "the timer of CPU {cpu} does not go off");
        }
        ensure!(now.calls > self.calls, "no call between the processors");
        *self = now;
        Ok(())
    }
}

/// The first processor wakes a program on the last one, again and again.
fn call() -> Result<()> {
    let (wakes, woken) = channel();
    thread::scope(|scope| {
        let last = scope.spawn(move || -> Result<()> {
            cpu::stay_on(CPUS - 1)?;
            while woken.recv().is_ok() {}
            Ok(())
        });
        let first = scope.spawn(move || -> Result<()> {
            cpu::stay_on(0)?;
            for _ in 0..TIMES {
                sleep(PAUSE);
                wakes.send(())?;
            }
            Ok(())
        });
        let mut both = [first, last].into_iter();
        both.try_for_each(|thread| thread.join().expect("no panics here"))
    })
}
