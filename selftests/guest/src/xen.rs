// SPDX-License-Identifier: GPL-2.0

//! A guest that was made for Xen, and believes to be there.
//!
//! Linux takes its clock, its timer, its interrupts between processors and its disk from Xen, if Xen
//! says that it has them. So first comes whether Linux did. Then the disk must give back what was
//! written, sleeps must be as long as they should, time must never go back, and each processor's
//! time must add up. The HVM guest has KVM below it. While others take a part of its processors' time, it
//! counts that, and the host compares it with what it knows. The PV guest has Xen's shim below it.

use crate::{disk, xen_moves};
use anyhow::{ensure, Context, Result};
use kvmtest::sysfs;
use std::io::stdin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// What Linux says that it is, and which Xen that has.
const KIND: &str = "/sys/hypervisor/guest_type";
const VERSION: &str = "/sys/hypervisor/version";
/// The kind whose time the host looks at.
pub const HVM: &str = "HVM";
/// The word for a guest of that kind that migrates instead of all else.
const MOVES: &str = "moves";
/// What Linux says that it uses.
const CHOSEN: [(&str, &str); 3] = [
    ("/sys/hypervisor/type", "xen"),
    (
        "/sys/devices/system/clocksource/clocksource0/current_clocksource",
        "xen",
    ),
    (
        "/sys/devices/system/clockevents/clockevent0/current_device",
        "xen",
    ),
];
pub const DISK: &str = "/dev/xvda";
const INTERRUPTS: &str = "/proc/interrupts";
/// Event channels that must have had events: a timer for each processor, calls between them, the disk.
const CHANNELS: [&str; 5] = ["timer0", "timer1", "callfuncsingle0", "resched1", "blkif"];
pub const CPUS: usize = 2;
/// Sleeps of that length.
const SLEEPS: u32 = 20;
const SLEEP: Duration = Duration::from_millis(5);
/// One may take so much longer, on an emulated machine that others use too.
const LATE: Duration = Duration::from_secs(3);
/// How long others take a part of the processors' time.
const BUSY: Duration = Duration::from_secs(5);
/// /proc/stat counts in these.
const PER_SECOND: u64 = 100;
/// In /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
const TIMES: usize = 8;
pub const STEAL: usize = 7;
/// All processors go on within that time.
const SETTLED: Duration = Duration::from_millis(200);
/// Ticks that may be counted later than they were.
const SOME: u64 = 20;

/// All of it, as a guest of this kind.
pub fn run(kind: Option<&String>, work: Option<&String>) -> Result<()> {
    let kind = kind.context("nobody says which kind of guest it is")?;
    linux_uses_xen(kind)?;
    let read = disk::work(DISK, 1)?;
    println!("guest: {DISK} gave back what was written, {read} bytes read");
    sleeps()?;
    if work.is_some_and(|work| work == MOVES) {
        channels()?;
        return xen_moves::run();
    }
    if kind == HVM {
        steal()?;
        pause()?;
        sleeps()?;
    } else {
        spend(|passed| passed > BUSY)?;
        println!("guest: time went on for {BUSY:?} on all processors");
    }
    channels()?;
    println!("guest: done");
    Ok(())
}

fn linux_uses_xen(kind: &str) -> Result<()> {
    let part = |name| sysfs::read(&format!("{VERSION}/{name}"));
    println!("guest: Xen is {}.{}", part("major")?, part("minor")?);
    has_chosen_xen(kind)?;
    println!("guest: {kind} guest, whose hypervisor, clock and timer are Xen's");
    Ok(())
}

/// As it says now.
pub fn has_chosen_xen(kind: &str) -> Result<()> {
    for (path, wanted) in [(KIND, kind)].into_iter().chain(CHOSEN) {
        let found = sysfs::read(path)?;
        ensure!(found == wanted, "{path}: {found}, not {wanted}");
    }
    Ok(())
}

/// Each channel has had events.
fn channels() -> Result<()> {
    for channel in CHANNELS {
        let events = events(channel)?;
        ensure!(events > 0, "no event for {channel}");
        println!("guest: {events} events for {channel}");
    }
    Ok(())
}

/// How many there were for this one.
pub fn events(channel: &str) -> Result<u64> {
    let text = sysfs::read(INTERRUPTS)?;
    let line = text.lines().find(|line| line.ends_with(channel));
    let line = line.with_context(|| format!("no event channel is for {channel}"))?;
    ensure!(line.contains("xen-"), "{channel} is not Xen's: {line}");
    let counts = line.split_whitespace().skip(1).take(CPUS);
    Ok(counts.filter_map(|word| word.parse::<u64>().ok()).sum())
}

/// A sleep ends when the timer's event comes.
fn sleeps() -> Result<()> {
    for _ in 0..SLEEPS {
        let begin = Instant::now();
        thread::sleep(SLEEP);
        let slept = begin.elapsed();
        ensure!(
            (SLEEP..SLEEP + LATE).contains(&slept),
            "a sleep of {SLEEP:?} took {slept:?}"
        );
    }
    println!("guest: {SLEEPS} sleeps were long enough, and none too long");
    Ok(())
}

/// All processors are busy, here and in the host. Linux counts what others had of its time as stolen.
fn steal() -> Result<()> {
    println!("guest: busy");
    let spent = spend(|passed| passed > BUSY)?;
    println!("guest: calm");
    for (cpu, spent) in spent.iter().enumerate() {
        println!("guest: stolen from CPU {cpu}: {}", spent[STEAL]);
    }
    Ok(())
}

/// The host stops all processors for a while, and their clocks with them. It is told how much time has passed here,
/// between what it says first and what it hears last.
///
/// Programs on all processors read the time by the page of the first one, and KVM writes that when the first one goes
/// on. If another one is quicker, it sees the time of the pause as passed for a moment, on C as on Rust. So nobody
/// looks until all have gone on.
fn pause() -> Result<()> {
    println!("guest: may be stopped");
    wait_for_host()?;
    let spent = Spent::from_now()?;
    println!("guest: pause");
    wait_for_host()?;
    thread::sleep(SETTLED);
    let passed = Instant::now().checked_duration_since(spent.begin);
    let passed = passed.context("time went back over the pause")?;
    println!("guest: resumed after {} ms", passed.as_millis());
    spent.until_now()?;
    spend(|passed| passed > SETTLED)?;
    Ok(())
}

/// Whatever it says means that it is done, and so does the end of the input.
fn wait_for_host() -> Result<()> {
    stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Is busy until `is_over`, and gives what each processor has spent its time on.
fn spend(is_over: impl Fn(Duration) -> bool + Sync) -> Result<Vec<Vec<u64>>> {
    let spent = Spent::from_now()?;
    look_at_the_clock(spent.begin, is_over)?;
    spent.until_now()
}

/// What each processor spends its time on, from a moment on.
pub struct Spent {
    begin: Instant,
    before: Vec<Vec<u64>>,
}

impl Spent {
    /// From this one.
    pub fn from_now() -> Result<Self> {
        Ok(Self {
            begin: Instant::now(),
            before: times()?,
        })
    }

    /// Linux may miss ticks of what was not stolen, but it counts none twice.
    pub fn until_now(&self) -> Result<Vec<Vec<u64>>> {
        let after = times()?;
        let passed = self.begin.elapsed().as_millis() as u64 * PER_SECOND / 1000;
        let both = self.before.iter().zip(after);
        let spent = both.map(|(before, after)| {
            let spent: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
            let all: u64 = spent.iter().sum();
            ensure!(
                all <= passed + SOME,
                "in {passed} ticks {all} were counted on one CPU"
            );
            Ok(spent)
        });
        spent.collect()
    }
}

/// On all processors, each of which must see the time go on from what the others have seen.
fn look_at_the_clock(begin: Instant, is_over: impl Fn(Duration) -> bool + Sync) -> Result<()> {
    let latest = AtomicU64::new(0);
    let look = || -> Result<()> {
        while !is_over(begin.elapsed()) {
            let before = latest.load(SeqCst);
            let now = begin.elapsed().as_nanos() as u64;
            ensure!(now >= before, "time went back by {} ns", before - now);
            latest.fetch_max(now, SeqCst);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let looks: Vec<_> = (0..CPUS).map(|_| scope.spawn(look)).collect();
        let mut looks = looks.into_iter();
        looks.try_for_each(|look| look.join().expect("no panics here"))
    })
}

/// The times of each processor.
fn times() -> Result<Vec<Vec<u64>>> {
    let text = sysfs::read("/proc/stat")?;
    let lines = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("cpu")?.split(' ');
        words.next()?.parse::<usize>().ok()?;
        words.take(TIMES).map(|word| word.parse().ok()).collect()
    });
    let times: Vec<Vec<u64>> = lines.collect();
    ensure!(times.len() == CPUS, "{} processors", times.len());
    Ok(times)
}
