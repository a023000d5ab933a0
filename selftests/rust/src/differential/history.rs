// SPDX-License-Identifier: GPL-2.0

//! Runs a history on two VMs, and compares them after each step.

use super::machine::{Answer, Machine};
use super::quiet;
use crate::rng::Rng;
use anyhow::Result;
use std::fmt::{self, Display, Formatter};

/// Steps of a history.
const STEPS: u64 = 60;

/// Where two VMs start, and what is done to both.
pub struct History<M: Machine> {
    /// How both are made.
    pub setup: M::Setup,
    /// The steps.
    pub ops: Vec<M::Op>,
}

/// After so many steps the two are not the same.
#[derive(Debug)]
pub struct Difference {
    /// How many.
    pub after: usize,
    /// In what.
    pub what: Vec<String>,
}

impl<M: Machine> History<M> {
    /// Any.
    pub fn random(rng: &mut Rng) -> Self {
        let setup = M::setup(rng);
        let ops = (0..STEPS).map(|number| M::op(rng, number == 0));
        Self {
            setup,
            ops: ops.collect(),
        }
    }

    /// The same start, with other steps.
    pub fn with(&self, ops: &[M::Op]) -> Self {
        Self {
            setup: self.setup.clone(),
            ops: ops.to_vec(),
        }
    }

    /// Runs it on two new VMs, until they differ. `heard` gets each step with its answer.
    pub fn run(
        &self,
        backends: [&str; 2],
        mut heard: impl FnMut(&M::Op, &Answer),
    ) -> Result<Option<Difference>> {
        quiet::reset()?;
        let mut sides = [
            M::new(backends[0], &self.setup)?,
            M::new(backends[1], &self.setup)?,
        ];
        for (index, op) in self.ops.iter().enumerate() {
            M::global(op)?;
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
        let what = M::at_the_end(&sides, backends)?;
        let after = self.ops.len();
        Ok((!what.is_empty()).then_some(Difference { after, what }))
    }
}

fn differences<M: Machine>(
    sides: &[M; 2],
    answers: &[Answer; 2],
    names: [&str; 2],
) -> Result<Vec<String>> {
    let [one, two] = sides;
    let mut what = one.differences(two, names)?;
    if answers[0] != answers[1] {
        let answers = names.iter().zip(answers);
        what.extend(answers.map(|(name, answer)| format!("the answer on {name}: {answer:?}")));
    }
    Ok(what)
}

impl<M: Machine> Display for History<M> {
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
