// SPDX-License-Identifier: GPL-2.0

//! What the operations of KVM's TDP MMU cost, on C and on Rust.
//!
//! Runs in a machine whose clock counts instructions. Every scenario makes a VM and times a chain
//! of operations on it, on one backend and then on the other. The next round begins with the other
//! one. All of this is done with memory of three sizes. Each figure leaves as one JSON object a line,
//! those of round 0, which is for warming up, too; judging them is left to the host script.
//!
//!     kvmrs-bench ROUNDS [SCENARIO]...

mod sample;
mod scenarios;
mod vm;

use anyhow::{bail, Context, Result};
use kvmtest::backend;
use sample::Samples;
use scenarios::{Scenario, SCENARIOS};

/// Memory grows by these factors.
const SCALES: [u64; 3] = [1, 2, 4];
const BACKENDS: [&str; 2] = [backend::C, backend::RUST];

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let rounds: u32 = words
        .next()
        .context("usage: kvmrs-bench ROUNDS [SCENARIO]...")?
        .parse()
        .context("ROUNDS is a number")?;
    let wanted: Vec<String> = words.collect();
    for name in &wanted {
        if !SCENARIOS.iter().any(|(known, _)| known == name) {
            bail!("no such scenario: {name}");
        }
    }
    for (name, scenario) in SCENARIOS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        for scale in SCALES {
            for round in 0..=rounds {
                run(name, scenario, scale, round)?;
            }
        }
    }
    Ok(())
}

/// Both backends take turns in who is the first.
fn run(name: &str, scenario: Scenario, scale: u64, round: u32) -> Result<()> {
    let mut backends = BACKENDS;
    backends.rotate_left(round as usize % 2);
    for backend in backends {
        scenario(&mut Samples::new(name, backend, scale, round))
            .with_context(|| format!("scenario {name} on {backend}"))?;
    }
    Ok(())
}
