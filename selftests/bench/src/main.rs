// SPDX-License-Identifier: GPL-2.0

//! What the operations of KVM's TDP MMU cost, on C and on Rust.
//!
//! Runs in a machine whose clock counts instructions. Every scenario makes a VM and times a chain
//! of operations on it, first on one backend, then on the other, and again from the start. Each
//! figure leaves as one JSON object a line; judging them is left to the host script.
//!
//!     kvmrs-bench ROUNDS [SCENARIO]...

mod sample;
mod scenarios;
mod vm;

use anyhow::{bail, Context, Result};
use kvmtest::backend;
use sample::Samples;
use scenarios::SCENARIOS;

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
        for _ in 0..rounds {
            for backend in BACKENDS {
                scenario(&mut Samples::new(name, backend))
                    .with_context(|| format!("scenario {name} on {backend}"))?;
            }
        }
    }
    Ok(())
}
