// SPDX-License-Identifier: GPL-2.0

//! One figure: what an operation cost this thread.

use anyhow::Result;
use kvmtest::beside::beside;
use kvmtest::{cpu, debugfs, mark, sysfs};
use rustix::time::{clock_gettime, ClockId};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread::{sleep, yield_now};
use std::time::Duration;

/// Long enough for a grace period: what earlier operations left to RCU must not be paid for by
/// the next one. Sleeping costs nothing where the clock jumps over idle time.
const SETTLE: Duration = Duration::from_millis(60);
/// The kernel's timers come at multiples of at most this. An operation that began at the same part of it each time
/// would meet one of them always, or never.
const TICK: Duration = Duration::from_millis(10);
/// All of them begin anew at multiples of this.
const TICKS: Duration = Duration::from_millis(20);

/// What multiples have behind the point is spread evenly between 0 and 1, and those of one are none of the other's.
const GOLDEN: f64 = 0.618_033_988_749_895;
const SILVER: f64 = 0.414_213_562_373_095;
static TURN: AtomicU32 = AtomicU32::new(0);
static BOOT: AtomicU32 = AtomicU32::new(0);

/// How long who looks for long holds sleeps in between, at least and at most. If it always slept as long, it would come to
/// the same places of an operation again and again, and never to others. Samples begin with other naps for the same reason.
const NAP: Duration = Duration::from_micros(50);
const LONG_NAP: Duration = Duration::from_micros(60);

/// Whether an operation has to cost less than on C.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// It changes entries, or does what takes both backends as long: it may cost as much.
    Work,
    /// It finds nothing to do in most entries that it looks at: it must cost less.
    Scan,
}

#[derive(Serialize)]
struct Line<'a> {
    scenario: &'a str,
    backend: &'a str,
    op: &'a str,
    size: &'a str,
    scan: bool,
    scale: u64,
    round: u32,
    pages: u64,
    instructions: u64,
    flushes: u64,
}

/// Times operations of one run of a scenario and reports them.
pub struct Samples<'a> {
    scenario: &'a str,
    /// What the VM must run on.
    pub backend: &'a str,
    /// Memory is so many times the smallest size.
    pub scale: u64,
    round: u32,
}

impl<'a> Samples<'a> {
    pub fn new(scenario: &'a str, backend: &'a str, scale: u64, round: u32) -> Self {
        Self {
            scenario,
            backend,
            scale,
            round,
        }
    }

    /// Runs `operation` on so many pages of `size` and reports its cost.
    pub fn time<T>(
        &mut self,
        op: &str,
        size: &str,
        kind: Kind,
        pages: u64,
        operation: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.counted(op, size, kind, pages, || {
            let start = thread_time();
            let value = operation()?;
            Ok((value, thread_time() - start))
        })
    }

    /// The same of an operation that says itself how many instructions it took.
    pub fn counted<T>(
        &mut self,
        op: &str,
        size: &str,
        kind: Kind,
        pages: u64,
        operation: impl FnOnce() -> Result<(T, u64)>,
    ) -> Result<T> {
        settle();
        let requests = flush_requests()?;
        mark::begin();
        let (value, instructions) = operation()?;
        mark::end();
        // A VM that ended took its requests along.
        let flushes = flush_requests()?.saturating_sub(requests);
        self.report(op, size, kind, pages, instructions, flushes)?;
        Ok(value)
    }

    /// Runs `operation` while a thread that goes first wakes up at many places of it. The emulator's plugin measures how
    /// long the kernel runs on nevertheless, at most. There is only one processor, so whoever waits for a lock that the
    /// operation holds with preemption off waits so long.
    pub fn longest<T>(&mut self, op: &str, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        let (looking, naps) = (AtomicBool::new(false), AtomicU32::new(0));
        settle();
        let turn = TURN.load(SeqCst);
        let look = || {
            cpu::go_first(1)?;
            looking.store(true, SeqCst);
            sleep(nap(turn, naps.fetch_add(1, SeqCst)));
            Ok(())
        };
        mark::begin();
        let value = beside(1, look, || {
            while !looking.load(SeqCst) {
                yield_now();
            }
            operation()
        })?;
        mark::end();
        self.report(op, "hold", Kind::Work, 1, 0, 0)?;
        Ok(value)
    }

    fn report(
        &self,
        op: &str,
        size: &str,
        kind: Kind,
        pages: u64,
        instructions: u64,
        flushes: u64,
    ) -> Result<()> {
        let line = Line {
            scenario: self.scenario,
            backend: self.backend,
            op,
            size,
            scan: kind == Kind::Scan,
            scale: self.scale,
            round: self.round,
            pages,
            instructions,
            flushes,
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }
}

/// Has operations begin at other parts of a tick than in other boots, which do the same in the same order.
pub fn shift_ticks(boot: u32) {
    BOOT.store(boot, SeqCst);
}

/// Waits until what was before is over, and on to another part of a tick each time. Kernels that do the same in the same
/// order come to the same part, however long they took so far.
fn settle() {
    let turn = TURN.fetch_add(1, SeqCst);
    let now = Duration::from_nanos(now(ClockId::Monotonic));
    let ticks = (now + SETTLE)
        .as_millis()
        .next_multiple_of(TICKS.as_millis()) as u64;
    let part = TICK.mul_f64(part_of_tick(turn, BOOT.load(SeqCst)));
    sleep(Duration::from_millis(ticks) + part - now);
}

fn part_of_tick(turn: u32, boot: u32) -> f64 {
    (f64::from(turn) * GOLDEN + f64::from(boot) * SILVER).fract()
}

/// How long who looks for long holds sleeps before each look. The first one may be at once.
fn nap(turn: u32, number: u32) -> Duration {
    let part = (f64::from(turn) * SILVER + f64::from(number) * GOLDEN).fract();
    let least = if number == 0 { Duration::ZERO } else { NAP };
    least + (LONG_NAP - least).mul_f64(part)
}

/// Flushes of TLBs that KVM has asked for, of all VMs that are there.
fn flush_requests() -> Result<u64> {
    sysfs::number(&debugfs::file("remote_tlb_flush_requests"))
}

/// Nanoseconds that this thread has run for, in the kernel and outside. Waiting does not count,
/// and neither does what other threads do meanwhile.
pub fn thread_time() -> u64 {
    now(ClockId::ThreadCPUTime)
}

fn now(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::part_of_tick;

    #[test]
    fn no_boot_begins_where_another_did() {
        for turn in 0..1000 {
            let mut parts: Vec<f64> = (0..9).map(|boot| part_of_tick(turn, boot)).collect();
            parts.sort_by(f64::total_cmp);
            assert!(
                parts.windows(2).all(|pair| pair[1] - pair[0] > 0.05),
                "{parts:?}"
            );
        }
    }
}
