// SPDX-License-Identifier: GPL-2.0

//! What the operations of KVM's TDP MMU cost, on C and on Rust.
//!
//! Runs in a machine whose clock counts instructions. Every scenario makes a VM and times a chain
//! of operations on it, on one backend and then on the other. The next round begins with the other
//! one. All of this is done with memory of three sizes. Each figure leaves as one JSON object a line,
//! those of round 0, which is for warming up, too; judging them is left to the host script.
//!
//!     kvmrs-bench BACKEND[,BACKEND] ROUNDS BOOT [SCENARIO]...
//!
//! BOOT counts the boots of a comparison, from 0 on: in each, operations begin at other moments.
//!
//! Or it reports what VMs hold of the host's memory, what they do where the host has two nodes and
//! moves and merges their pages, how their faults go on beside a harvest of a dirty log, or beside storms of
//! invalidations, or what harvests of logs of up to 4 GiB cost:
//!
//!     kvmrs-bench BACKEND[,BACKEND] memory
//!     kvmrs-bench BACKEND[,BACKEND] nodes
//!     kvmrs-bench BACKEND[,BACKEND] faults
//!     kvmrs-bench BACKEND[,BACKEND] storms
//!     kvmrs-bench BACKEND[,BACKEND] logs

mod far;
mod faults;
mod held;
mod logs;
mod memory;
mod nodes;
mod sample;
mod scenarios;
mod storms;
mod vm;
mod window;
mod xen;

use anyhow::{bail, Context, Result};
use sample::Samples;
use scenarios::{Scenario, SCENARIOS};

const USAGE: &str =
    "usage: kvmrs-bench BACKEND[,BACKEND] ROUNDS BOOT [SCENARIO]..., or memory|nodes|faults|storms|logs for ROUNDS";
/// Memory grows by these factors.
const SCALES: [u64; 3] = [1, 2, 4];

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let backends = words.next().context(USAGE)?;
    let backends: Vec<&str> = backends.split(',').collect();
    match words.next().context(USAGE)?.as_str() {
        "memory" => memory::report(&backends),
        "nodes" => nodes::report(&backends),
        "faults" => faults::report(&backends),
        "storms" => storms::report(&backends),
        "logs" => logs::report(&backends),
        rounds => {
            let rounds = rounds.parse().context("ROUNDS is a number")?;
            let boot = words.next().context(USAGE)?;
            sample::shift_ticks(boot.parse().context("BOOT is a number")?);
            measure(&backends, rounds, &words.collect::<Vec<_>>())
        }
    }
}

/// Runs the scenarios that are wanted, or all.
fn measure(backends: &[&str], rounds: u32, wanted: &[String]) -> Result<()> {
    for name in wanted {
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
                run(name, scenario, backends, scale, round)?;
            }
        }
    }
    Ok(())
}

/// The backends take turns in who is the first.
fn run(name: &str, scenario: Scenario, backends: &[&str], scale: u64, round: u32) -> Result<()> {
    let (later, first) = backends.split_at(round as usize % backends.len());
    for backend in first.iter().chain(later) {
        scenario(&mut Samples::new(name, backend, scale, round))
            .with_context(|| format!("scenario {name} on {backend}"))?;
    }
    Ok(())
}
