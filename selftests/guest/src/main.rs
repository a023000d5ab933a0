// SPDX-License-Identifier: GPL-2.0

//! What guests do. With the word `xen` and the kind of guest, that is [`xen`], if no further word asks for
//! [`xen_moves`], and with `migrant`, [`migrant`]; without, it is the demo's work with memory.
//!
//! Rounds of three steps, until a line on standard input says to stop: fill a large buffer from
//! two threads and check every cache line of it, several times; write a file's worth to the disk, drop the caches and
//! check what comes back; read more of the disk than there is memory, so that the page cache takes
//! every page there is. What is found is reported on standard output, after "guest: ".

mod clock;
mod disk;
mod migrant;
mod pattern;
mod xen;
mod xen_moves;

use anyhow::{ensure, Context, Result};
use kvmtest::sysfs;
use std::env;
use std::io::{stdin, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const DISK: &str = "/dev/vda";
/// The clock that KVM has for guests of its own.
const KVMS: &str = "kvm-clock";
const MIB: usize = 1 << 20;
const BUFFER: usize = 224 * MIB;
/// What a guest that migrates goes through, besides what it works on.
const LARGE: usize = 256 * MIB;
const WORD: usize = size_of::<u64>();

/// As many as the guest has processors.
const THREADS: usize = 2;
/// How often the memory is filled and checked in a round.
const PASSES: u64 = 8;

static STOP: AtomicBool = AtomicBool::new(false);

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("xen") => xen::run(words.get(1), words.get(2)),
        Some("migrant") => migrant::run(KVMS, LARGE / WORD, || Ok(String::new())),
        _ => run(),
    };
    if let Err(error) = done {
        println!("guest: FAILED {error:#}");
    }
}

fn run() -> Result<()> {
    let release = sysfs::read("/proc/sys/kernel/osrelease")?;
    let cpus = sysfs::read("/sys/devices/system/cpu/online")?;
    let kib = sysfs::number_in("/proc/meminfo", "MemTotal")?;
    println!("guest: up Linux {release}, CPUs {cpus}, {kib} KiB of memory");

    stop_when_told();
    rounds()
}

/// Whatever is said means stop; so does the end of the input.
fn stop_when_told() {
    thread::spawn(|| {
        let _ = stdin().read(&mut [0]);
        STOP.store(true, Ordering::Relaxed);
    });
}

fn rounds() -> Result<()> {
    let mut buffer = vec![0; BUFFER / WORD];
    let mut round = 0;
    while !STOP.load(Ordering::Relaxed) {
        round += 1;
        for pass in 0..PASSES {
            work_in_memory(&mut buffer, round * PASSES + pass)
                .with_context(|| format!("round {round}"))?;
        }
        let read = disk::work(DISK, round).with_context(|| format!("round {round}"))?;
        println!(
            "guest: round {round}: {PASSES} x {} MiB written and verified, {} MiB through the page cache",
            BUFFER / MIB,
            read / MIB
        );
    }
    println!("guest: done after {round} rounds");
    Ok(())
}

/// Fills the buffer from all threads, then lets each check what another has written.
fn work_in_memory(buffer: &mut [u64], version: u64) -> Result<()> {
    let share = buffer.len() / THREADS;
    thread::scope(|scope| {
        for (number, part) in buffer.chunks_mut(share).enumerate() {
            scope.spawn(move || pattern::fill(part, version, number * share));
        }
    });
    let wrong: usize = thread::scope(|scope| {
        let checks: Vec<_> = buffer
            .chunks(share)
            .enumerate()
            .rev()
            .map(|(number, part)| {
                scope.spawn(move || pattern::wrong(part, version, number * share))
            })
            .collect();
        checks
            .into_iter()
            .map(|check| check.join().expect("counting does not panic"))
            .sum()
    });
    ensure!(wrong == 0, "{wrong} words of memory are wrong");
    Ok(())
}
