// SPDX-License-Identifier: GPL-2.0

//! The kernel writes to pages of a guest's all the time, while the host does to them whatever can be
//! done to memory. What the guest reads must be whole, and what the kernel wrote last.
//!
//! On memory of each kind in turn: a VM with the clocks, the states and the events of two vCPUs
//! ([`machine`], [`events`]), and operations in random order ([`ops`]).

mod events;
mod machine;
mod ops;

use crate::harness;
use crate::rng::Rng;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend;
use kvmtest::memory::{self, Backing};
use machine::Machine;
use ops::OPS;
use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

const KINDS: [Backing; 4] = [Backing::Small, Backing::Huge, Backing::Pool, Backing::File];

/// The command: on the backend that was chosen.
pub fn main(mut words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let (mut seconds, mut seed) = (60, 1);
    while let Some(word) = words.next() {
        let value = words.next();
        let value = value.with_context(|| format!("{word} wants a value"))?;
        match word.as_str() {
            "--backend" => backend::choose(&value)?,
            "--seconds" => seconds = value.parse().context("--seconds")?,
            "--seed" => seed = value.parse().context("--seed")?,
            _ => bail!("no such option: {word}"),
        }
    }
    let chosen = backend::chosen()?;
    Ok(harness::verdict("gpc_torture", run(&chosen, seconds, seed)))
}

/// So many seconds, for each kind of memory that there is a part of them.
pub fn run(backend: &str, seconds: u64, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    let is_there = |kind: &Backing| *kind != Backing::Huge || memory::has_huge_pages();
    let kinds: Vec<_> = KINDS.into_iter().filter(is_there).collect();
    for &backing in &kinds {
        let until = Duration::from_secs(seconds) / kinds.len() as u32;
        on(backend, backing, until, &mut rng)
            .with_context(|| format!("{backing:?} memory, seed {seed}"))?;
    }
    Ok(())
}

fn on(backend: &str, backing: Backing, time: Duration, rng: &mut Rng) -> Result<()> {
    let (machine, mut vcpus) = Machine::new(backend, backing)?;
    let end = Instant::now() + time;
    let (counts, arrived) = thread::scope(|scope| {
        let machine = &machine;
        let guests = vcpus.iter_mut().enumerate();
        let guests = guests.map(|(index, vcpu)| scope.spawn(move || machine.run(index, vcpu)));
        let guests: Vec<_> = guests.collect();
        let events = scope.spawn(|| events::run(machine));
        let counts = operations(machine, backing, end, rng);
        machine.end();
        for guest in guests {
            guest
                .join()
                .expect("what panics is a bug of this program")?;
        }
        let arrived = events
            .join()
            .expect("what panics is a bug of this program")?;
        Ok::<_, anyhow::Error>((counts?, arrived))
    })?;
    let passes = machine.passes.each_ref().map(|passes| passes.load(SeqCst));
    eprintln!("# {backing:?} on {backend}: {passes:?} passes, {arrived} events, {counts}");
    ensure!(passes[0] > 0 && passes[1] > 0, "a vCPU never read anything");
    ensure!(arrived > 0, "no event has arrived");
    Ok(())
}

/// Each operation once, and then any, until it is time. Says how often each was done.
fn operations(machine: &Machine, backing: Backing, end: Instant, rng: &mut Rng) -> Result<String> {
    let ops: Vec<_> = OPS.iter().filter(|op| op.is_for(backing)).collect();
    let mut counts = vec![0; ops.len()];
    while !machine.is_over() && (counts.contains(&0) || Instant::now() < end) {
        let first = counts.iter().position(|&count| count == 0);
        let index = first.unwrap_or_else(|| rng.within(0..ops.len() as u64) as usize);
        ops[index].run(machine, backing, rng)?;
        counts[index] += 1;
    }
    let counts = ops.iter().zip(&counts);
    let words: Vec<_> = counts
        .map(|(op, count)| format!("{} {count}", op.name))
        .collect();
    Ok(words.join(", "))
}
