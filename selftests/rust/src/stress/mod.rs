// SPDX-License-Identifier: GPL-2.0

//! VMs of both backends under everything that can happen to them, for a chosen time.
//!
//!     kvmrs-selftests stress [--seconds N] [--seed N] [--backends NAME[,NAME...]]
//!
//! One thread for each backend named makes VMs, one after the other. Each VM has two vCPUs that
//! check all that they read, while the thread does random operations with the VM, its slots, its
//! memory and the machine. The first failure ends the run with the VM's last operations. The same
//! seed gives the same operations, but not the same timing.

mod dirty;
mod host;
mod life;
mod machine;
mod ops;

mod seen;
mod summary;
mod whole;

use crate::harness;
use crate::rng::Rng;
use anyhow::{bail, ensure, Context, Result};
use life::Counts;

use seen::Seen;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use whole::Prepared;

/// A run of this many seconds must have done and caused everything that there is.
const LONG: u64 = 120;
/// How long a run may go on after its end, until it has caused the least that it is for: on a slow
/// kernel, the seconds of a short one are often not enough.
const MORE: Duration = Duration::from_secs(300);

/// What the command line asks for.
struct Options {
    seconds: u64,
    seed: u64,
    backends: Vec<String>,
}

/// The command `stress` with the words after it.
pub fn main(words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let options = options(words)?;
    println!("# seed {}, {} seconds", options.seed, options.seconds);
    let prepared = Prepared::new()?;
    Ok(harness::verdict("stress", run(&options, &prepared)))
}

fn run(options: &Options, prepared: &Prepared) -> Result<()> {
    let counts = Counts::new();
    let lanes: Vec<_> = options
        .backends
        .iter()
        .map(|name| (name.as_str(), Seen::default()))
        .collect();
    let shared = Shared {
        prepared,
        counts: &counts,
        until: Instant::now() + Duration::from_secs(options.seconds),
        over: AtomicBool::new(false),
    };
    all_lanes(&shared, options.seed, &lanes)?;
    let missing = summary::show(&counts, &prepared.effects()?, &lanes);
    let enough = lanes.iter().all(|(_, seen)| seen.is_enough()) && prepared.is_enough()?;
    ensure!(
        missing.is_empty() || enough && options.seconds < LONG,
        "it never happened: {missing}"
    );
    if !missing.is_empty() {
        println!("# it never happened, in these few seconds: {missing}");
    }
    Ok(())
}

/// What the lanes of a run have in common.
struct Shared<'a> {
    prepared: &'a Prepared,
    counts: &'a Counts,
    until: Instant,
    /// A lane has failed.
    over: AtomicBool,
}

impl Shared<'_> {
    /// Until when a lane's next VM may live, if there is to be one.
    fn end(&self, seen: &Seen) -> Result<Option<Instant>> {
        let (now, last) = (Instant::now(), self.until + MORE);
        if self.over.load(SeqCst) {
            return Ok(None);
        }
        if now < self.until {
            return Ok(Some(self.until));
        }
        let enough = seen.is_enough() && self.prepared.is_enough()?;
        Ok((!enough && now < last).then_some(last))
    }
}

fn all_lanes(shared: &Shared<'_>, seed: u64, lanes: &[(&str, Seen)]) -> Result<()> {
    thread::scope(|scope| {
        let lanes = lanes.iter().enumerate();
        let lanes = lanes.map(|(index, (backend, seen))| {
            let seed = seed.wrapping_add((index as u64) << 32);
            scope.spawn(move || {
                let ended = lane(backend, seed, shared, seen);
                if ended.is_err() {
                    shared.over.store(true, SeqCst);
                }
                ended
            })
        });
        let lanes: Vec<_> = lanes.collect();
        let ended = lanes.into_iter().map(|lane| lane.join());
        let ended = ended.map(|ended| ended.expect("what panics is a bug of this program"));
        // Every lane is waited for, then the first failure counts.
        let ended: Vec<Result<()>> = ended.collect();
        ended.into_iter().collect::<Result<()>>()
    })
    .with_context(|| format!("seed {seed}"))
}

/// VMs on one backend, one after the other.
fn lane(backend: &str, seed: u64, shared: &Shared<'_>, seen: &Seen) -> Result<()> {
    let mut rng = Rng::new(seed);
    for number in 1.. {
        let Some(until) = shared.end(seen)? else {
            break;
        };
        let done = life::live(backend, number, until, &mut rng, shared.counts)?;
        println!(
            "# VM {number} on {backend}: {} phases, {} passes; {} operations so far",
            done.phases,
            done.passes,
            shared.counts.total()
        );
        seen.add_all(&done.seen);
    }
    Ok(())
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut options = Options {
        seconds: 300,
        seed: now.as_micros() as u64 & 0xffff_ffff,
        backends: vec!["rust".into(), "c".into()],
    };
    while let Some(word) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{word} wants a value"))?;
        match word.as_str() {
            "--seconds" => options.seconds = value.parse().context("--seconds")?,
            "--seed" => options.seed = value.parse().context("--seed")?,
            "--backends" => options.backends = value.split(',').map(String::from).collect(),
            _ => bail!("no such option: {word}"),
        }
    }
    Ok(options)
}
