// SPDX-License-Identifier: GPL-2.0

//! What histories are of.

use crate::rng::Rng;
use anyhow::Result;
use std::fmt::Debug;

/// What a step came to. What was refused, or left out, says why.
pub type Answer = Result<String, String>;

/// A VM of the two, and what can happen to it.
pub trait Machine: Sized {
    /// How both are made.
    type Setup: Clone + Debug;
    /// One step.
    type Op: Clone + Debug;

    /// Any.
    fn setup(rng: &mut Rng) -> Self::Setup;

    /// The usual first step, or any other.
    fn op(rng: &mut Rng, first: bool) -> Self::Op;

    /// Those that do less.
    fn simpler(op: &Self::Op) -> Vec<Self::Op>;

    /// The kind of step, for counts.
    fn kind(op: &Self::Op) -> String {
        let text = format!("{op:?}");
        text[..text.find('(').unwrap_or(text.len())].to_string()
    }

    /// What of a step concerns both VMs at once.
    fn global(_: &Self::Op) -> Result<()> {
        Ok(())
    }

    /// Nothing has happened to it yet.
    fn new(backend: &str, setup: &Self::Setup) -> Result<Self>;

    /// Does a step, and says what came of it. A refusal is an answer like another.
    fn step(&mut self, op: &Self::Op) -> Answer;

    /// In what `other` is not the same now.
    fn differences(&self, other: &Self, names: [&str; 2]) -> Result<Vec<String>>;

    /// What is wrong in the end.
    fn at_the_end(sides: &[Self; 2], names: [&str; 2]) -> Result<Vec<String>>;
}
