// SPDX-License-Identifier: GPL-2.0

//! A guest that moves from host to host while it works, and must not notice.
//!
//! Each thread writes its part of the memory over and over, a new version of each page in turn, and looks
//! now and then whether all of it is what it has written: the new version up to where it is, the old one
//! behind. A page that the guest wrote while a host sent it, and that was not sent again, is older than that.
//! Between two pieces it sleeps, so that a host can send faster than the guest writes. Time must go on from
//! what any thread has seen.
//!
//! A further thread reads memory that is much larger, page by page, when it is told to. A host where the guest has
//! arrived has mapped little of that, and needs a lock for each other page.

use crate::clock::Clock;
use crate::{pattern, STOP, THREADS, WORD};
use anyhow::{ensure, Result};
use kvmtest::sysfs;
use rustix::time::ClockId;
use std::hint::black_box;
use std::io::{self, stdin};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::{self, sleep};
use std::time::Duration;

/// Which of the kernel's messages are on the console. Those of errors are few enough not to come in between.
const MESSAGES: &str = "/proc/sys/kernel/printk";
const ERRORS: &str = "4";
/// The clock that all others follow.
const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// What a thread works on, and what it writes in one go, in words.
const PART: usize = (16 << 20) / WORD;
const PIECE: usize = (256 << 10) / WORD;
const PAUSE: Duration = Duration::from_millis(80);
/// All is checked after so many pieces.
const CHECK: usize = 4;
/// A thread sees the time at least that often, on an emulated machine that others use too.
const JUMP: Duration = Duration::from_secs(20);
/// What has the further thread read.
const READ: &str = "read";
const PAGE: usize = 4096 / WORD;
/// From one report to the next.
const REPORT: Duration = Duration::from_millis(500);

/// What all threads share.
struct Shared {
    /// As it is adjusted, and as the host's clock gives it.
    clocks: [Clock; 2],
    /// How often each thread has found its part as it should be.
    checks: [AtomicU64; THREADS],
}

/// Works until it is told to stop, by this clock, and reads so many words besides. What `also` finds is a part of each
/// report.
pub fn run(clock: &str, large: usize, also: impl FnMut() -> Result<String>) -> Result<()> {
    sysfs::write(MESSAGES, ERRORS)?;
    let source = sysfs::read(SOURCE)?;
    ensure!(source == clock, "the clock is {source}, not {clock}");
    let (reads, told) = channel();
    listen(reads);
    let shared = &Shared {
        clocks: [ClockId::Monotonic, ClockId::MonotonicRaw].map(Clock::new),
        checks: Default::default(),
    };
    thread::scope(|scope| {
        let mut threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || shared.until_told(|| work(number, shared))))
            .collect();
        if large > 0 {
            threads.push(scope.spawn(move || shared.until_told(|| wander(large, told))));
        }
        shared.until_told(|| report(shared, also))?;
        let mut threads = threads.into_iter();
        threads.try_for_each(|thread| thread.join().expect("no panics here"))
    })?;
    println!("guest: done");
    Ok(())
}

impl Shared {
    /// One that fails ends the others.
    fn until_told(&self, run: impl FnOnce() -> Result<()>) -> Result<()> {
        let done = run();
        STOP.store(true, SeqCst);
        done
    }

    fn look(&self) -> Result<Duration> {
        let [adjusted, hosts] = &self.clocks;
        hosts.look(JUMP)?;
        adjusted.look(JUMP)
    }

    /// How often everything was right.
    fn checked(&self) -> u64 {
        let counts = self.checks.iter().map(|count| count.load(SeqCst));
        counts.min().unwrap_or_default()
    }
}

/// Says what time it is whenever all threads have checked their parts again.
fn report(shared: &Shared, mut also: impl FnMut() -> Result<String>) -> Result<()> {
    let mut said = 0;
    while !STOP.load(SeqCst) {
        sleep(REPORT);
        let time = shared.look()?.as_millis();
        let checked = shared.checked();
        if checked > said {
            let also = also()?;
            println!("guest: at {time} ms: all is as it was written, {checked} times{also}");
            said = checked;
        }
    }
    Ok(())
}

/// Reads a word in each page of so many words whenever it is told to. They are zero, so that they are sent quickly, but
/// each page is there because it was written.
fn wander(words: usize, told: Receiver<()>) -> Result<()> {
    let mut memory = black_box(vec![u64::MAX; words]);
    memory.fill(0);
    while !STOP.load(SeqCst) {
        if told.recv_timeout(REPORT).is_ok() {
            read(&memory)?;
        }
    }
    Ok(())
}

fn read(memory: &[u64]) -> Result<()> {
    for page in memory.chunks(PAGE) {
        if STOP.load(SeqCst) {
            break;
        }
        ensure!(black_box(page[0]) == 0, "memory that is zero has changed");
    }
    Ok(())
}

/// Passes on what the guest is told. Anything else than to read means stop; so does the end of the input.
fn listen(reads: Sender<()>) {
    thread::spawn(move || {
        let lines = stdin().lines().map_while(io::Result::ok);
        for _ in lines.take_while(|line| line == READ) {
            // Nobody may want to know.
            let _ = reads.send(());
        }
        STOP.store(true, SeqCst);
    });
}

/// Writes and checks the part with this number.
fn work(number: usize, shared: &Shared) -> Result<()> {
    let mut part = vec![0; PART];
    let first = number * PART;
    pattern::fill(&mut part, 0, first);
    for version in 1.. {
        for piece in 0..PART / PIECE {
            if STOP.load(SeqCst) {
                return Ok(());
            }
            let (begin, end) = (piece * PIECE, (piece + 1) * PIECE);
            pattern::fill(&mut part[begin..end], version, first + begin);
            if piece % CHECK == 0 {
                check(&part, version, first, end)?;
                shared.checks[number].fetch_add(1, SeqCst);
            }
            shared.look()?;
            sleep(PAUSE);
        }
    }
    Ok(())
}

/// The words before `end` are of this version, and the others of the one before.
fn check(part: &[u64], version: u64, first: usize, end: usize) -> Result<()> {
    let (new, old) = part.split_at(end);
    let wrong = pattern::wrong(new, version, first) + pattern::wrong(old, version - 1, first + end);
    ensure!(wrong == 0, "{wrong} words of memory are wrong");
    Ok(())
}
