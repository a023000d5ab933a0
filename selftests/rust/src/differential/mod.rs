// SPDX-License-Identifier: GPL-2.0

//! The same random history on two VMs, one on C and one on the chosen backend.
//!
//!     kvmrs-selftests differential [--seconds N] [--seed N]
//!
//! A history is a list of steps: slots come, move and go, logs are read and cleared, the host takes
//! memory away and gives it back, and the guest reads, writes and executes. Each VM has one vCPU, and
//! one thread does each step first to one VM and then to the other. After each step, everything that
//! can be seen of the two is compared: answers, exits, figures, page tables; in the end the memory.
//!
//! One history in [`XEN`] is of guests that take their host for Xen: events, timers, run states, clocks, calls and the
//! pages for them ([`xen`]). The seed decides.
//!
//! A difference counts if the history shows it each time. Walks give way when somebody else wants to
//! run, and then C differs from C: with C as the chosen backend, the run shows how often.

mod history;
mod machine;
mod op;
mod quiet;
mod shrink;
mod side;
mod view;
mod xen;

use crate::harness;
use crate::rng::Rng;
use anyhow::{bail, ensure, Context, Result};
use history::{Difference, History};
use kvmtest::backend::{self, C};
use machine::{Answer, Machine};
use quiet::Quiet;
use side::Side;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a history must show a difference.
const CONFIRMED: u32 = 3;
/// Histories run to find a small one.
const TRIES: u32 = 400;
/// So many histories with seeds in a row have every kind of step, and each has come to something.
const MANY: u64 = 40;

/// The history of one seed in so many is a Xen guest's.
const XEN: u64 = 3;

struct Options {
    seconds: u64,
    seed: u64,
}

/// What a run has done.
#[derive(Default)]
struct Tally {
    histories: u64,
    steps: u64,
    /// Differences that did not come again.
    once: u64,
    /// Kind of step -> how often it was neither refused nor left out.
    done: BTreeMap<String, u64>,
}

/// The command `differential` with the words after it.
pub fn main(words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let options = options(words)?;
    let backends = [C, &backend::chosen()?].map(String::from);
    println!(
        "# {} next to {}: seed {}",
        backends[1], backends[0], options.seed
    );
    let _quiet = Quiet::new()?;
    let names = [backends[0].as_str(), backends[1].as_str()];
    Ok(harness::verdict("differential", run(&options, names)))
}

fn run(options: &Options, backends: [&str; 2]) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut tally = Tally::default();
    while tally.histories == 0 || Instant::now() < until {
        let seed = options.seed.wrapping_add(tally.histories);
        match seed % XEN {
            0 => tally.one::<xen::Side>(seed, backends),
            _ => tally.one::<Side>(seed, backends),
        }
        .with_context(|| format!("seed {seed}"))?;
    }
    tally.show();
    tally.is_enough()
}

/// Fails with the smallest history if it shows a difference each time.
fn judge<M: Machine>(history: &History<M>, backends: [&str; 2]) -> Result<()> {
    let Some(found) = confirm(history, backends)? else {
        return Ok(());
    };
    let ops = history.ops[..found.after].to_vec();
    let count = ops.len();
    let ops = shrink::shrink(ops, M::simpler, TRIES, |ops| {
        Ok(confirm(&history.with(ops), backends)?.is_some())
    })?;
    let smallest = history.with(&ops);
    let last = confirm(&smallest, backends)?.unwrap_or(found);
    print!("# the smallest history, of {count} steps:\n{smallest}");
    bail!("{last}")
}

/// The difference, if it is there each time.
fn confirm<M: Machine>(history: &History<M>, backends: [&str; 2]) -> Result<Option<Difference>> {
    let mut last = None;
    for _ in 0..CONFIRMED {
        last = history.run(backends, |_, _| {})?;
        if last.is_none() {
            break;
        }
    }
    Ok(last)
}

impl Tally {
    /// One history more.
    fn one<M: Machine>(&mut self, seed: u64, backends: [&str; 2]) -> Result<()> {
        let history = History::<M>::random(&mut Rng::new(seed));
        let found = history.run(backends, |op, answer| self.hear(M::kind(op), answer))?;
        self.histories += 1;
        if let Some(found) = found {
            println!("# seed {seed}: {found}");
            judge(&history, backends)?;
            self.once += 1;
        }
        Ok(())
    }

    fn hear(&mut self, kind: String, answer: &Answer) {
        self.steps += 1;
        let done = self.done.entry(kind).or_default();
        *done += u64::from(answer.is_ok());
    }

    fn show(&self) {
        let kinds = self
            .done
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"));
        println!("# done: {}", kinds.collect::<Vec<_>>().join(", "));
        println!(
            "# {} histories of {} steps are the same; {} differed once, and not again",
            self.histories, self.steps, self.once
        );
    }

    /// A run that did nothing compares nothing, and a machine that is not quiet hides what differs. One history may
    /// differ once in the shortest run.
    fn is_enough(&self) -> Result<()> {
        ensure!(
            self.once <= 1 + self.histories / 20,
            "{} of {} histories differed once: the machine is not quiet",
            self.once,
            self.histories
        );
        let never = self.done.iter().filter(|(_, count)| **count == 0);
        let never: Vec<&str> = never.map(|(kind, _)| kind.as_str()).collect();
        ensure!(
            never.is_empty() || self.histories < MANY,
            "it never came to anything: {never:?}"
        );
        Ok(())
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut options = Options {
        seconds: 60,
        seed: now.as_micros() as u64 & 0xffff_ffff,
    };
    while let Some(word) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{word} wants a value"))?;
        match word.as_str() {
            "--seconds" => options.seconds = value.parse().context("--seconds")?,
            "--seed" => options.seed = value.parse().context("--seed")?,
            _ => bail!("no such option: {word}"),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn what_is_left_out_is_not_done() {
        let mut tally = Tally::default();
        let hear = |tally: &mut Tally, answer| tally.hear("Prefault".into(), &answer);
        hear(&mut tally, Err("left out".into()));
        assert_eq!(tally.done["Prefault"], 0);
        hear(&mut tally, Ok("done".into()));
        assert_eq!((tally.done["Prefault"], tally.steps), (1, 2));
    }

    #[test]
    fn a_machine_that_is_not_quiet_is_told() {
        let tally = |histories, once| Tally {
            histories,
            once,
            ..Tally::default()
        };
        assert!(tally(8, 1).is_enough().is_ok());
        assert!(tally(8, 2).is_enough().is_err());
        assert!(tally(40, 3).is_enough().is_ok());
        assert!(tally(39, 3).is_enough().is_err());
    }
}
