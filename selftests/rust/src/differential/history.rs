// SPDX-License-Identifier: GPL-2.0

//! Runs a history on two VMs, and compares them after each step.

use super::op::{Op, Setup};
use super::quiet;
use super::side::{Answer, Side};
use crate::rng::Rng;
use anyhow::{Context, Result};
use kvmtest::sysfs::{self, EAGER_SPLIT, NX_HUGE_PAGES};
use std::fmt::{self, Display, Formatter};

/// Steps of a history.
const STEPS: u64 = 60;

/// Where two VMs start, and what is done to both.
#[derive(Clone, Debug)]
pub struct History {
    /// How both are made.
    pub setup: Setup,
    /// The steps.
    pub ops: Vec<Op>,
}

/// After so many steps the two are not the same.
#[derive(Debug)]
pub struct Difference {
    /// How many.
    pub after: usize,
    /// In what.
    pub what: Vec<String>,
}

impl History {
    /// Any.
    pub fn random(rng: &mut Rng) -> Self {
        let setup = Setup::random(rng);
        let ops = (1..STEPS).map(|_| Op::random(rng));
        Self {
            setup,
            ops: std::iter::once(Op::first()).chain(ops).collect(),
        }
    }

    /// The same start, with other steps.
    pub fn with(&self, ops: &[Op]) -> Self {
        Self {
            setup: self.setup.clone(),
            ops: ops.to_vec(),
        }
    }

    /// Runs it on two new VMs, until they differ. `heard` gets each step with its answer.
    pub fn run(
        &self,
        backends: [&str; 2],
        mut heard: impl FnMut(&Op, &Answer),
    ) -> Result<Option<Difference>> {
        quiet::reset()?;
        let mut sides = [
            Side::new(backends[0], &self.setup)?,
            Side::new(backends[1], &self.setup)?,
        ];
        for (index, op) in self.ops.iter().enumerate() {
            global(op)?;
            let answers = sides.each_mut().map(|side| side.step(op));
            let what = differences(&sides, &answers, backends)?;
            if !what.is_empty() {
                return Ok(Some(Difference {
                    after: index + 1,
                    what,
                }));
            }
            heard(op, &answers[0]);
        }
        let what = at_the_end(&sides, backends)?;
        let after = self.ops.len();
        Ok((!what.is_empty()).then_some(Difference { after, what }))
    }
}

/// What concerns both VMs at once.
fn global(op: &Op) -> Result<()> {
    match op {
        Op::Nx(on) => sysfs::write(NX_HUGE_PAGES, if *on { "force" } else { "off" }),
        Op::EagerSplit(on) => sysfs::write(EAGER_SPLIT, if *on { "Y" } else { "N" }),
        _ => Ok(()),
    }
}

fn differences(sides: &[Side; 2], answers: &[Answer; 2], names: [&str; 2]) -> Result<Vec<String>> {
    let [one, two] = [sides[0].view()?, sides[1].view()?];
    let mut what = one.differences(&two, names);
    if answers[0] != answers[1] {
        let answers = names.iter().zip(answers);
        what.extend(answers.map(|(name, answer)| format!("the answer on {name}: {answer:?}")));
    }
    Ok(what)
}

/// The memory, and whether the page tables are sound.
fn at_the_end(sides: &[Side; 2], names: [&str; 2]) -> Result<Vec<String>> {
    let mut what = Vec::new();
    for (side, name) in sides.iter().zip(names) {
        let wrong = side
            .wrong()?
            .context("no backend is there to check page tables")?;
        what.extend(
            wrong
                .into_iter()
                .map(|line| format!("mmu_check on {name}: {line}")),
        );
    }
    let [one, two] = [sides[0].memory()?, sides[1].memory()?];
    if one != two {
        let place = one.iter().zip(&two).position(|(one, two)| one != two);
        what.push(format!("memory at {place:x?}"));
    }
    Ok(what)
}

impl Display for History {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        writeln!(to, "#   {:x?}", self.setup)?;
        let mut steps = self.ops.iter().enumerate();
        steps.try_for_each(|(index, op)| writeln!(to, "#   {}. {op:x?}", index + 1))
    }
}

impl Display for Difference {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(to, "after step {}: {}", self.after, self.what.join("; "))
    }
}
