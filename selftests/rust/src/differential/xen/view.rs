// SPDX-License-Identifier: GPL-2.0

//! What can be seen of a Xen guest after a step.

use super::places::AREAS;
use super::{Side, STATE, STATES};
use anyhow::{ensure, Result};
use kvmtest::vm::BASE;
use std::iter::once;
use std::ops::Range;

/// A vCPU that has no processor would run if it had one.
const RUNNING: u64 = 0;
const RUNNABLE: u64 = 1;

/// All of it.
pub struct Seen {
    /// The guest's memory, without times.
    memory: Vec<u8>,
    /// The vCPU's state, and whether the guest's copy is what KVM has, if that can be said.
    states: (u64, Option<bool>),
}

impl Seen {
    /// In what `other` is not the same.
    pub fn differences(&self, other: &Self, names: [&str; 2]) -> Vec<String> {
        let [one, two] = names;
        let mut what = Vec::new();
        let mut bytes = self.memory.iter().zip(&other.memory);
        if let Some(place) = bytes.position(|(mine, theirs)| mine != theirs) {
            let (mine, theirs) = (self.memory[place], other.memory[place]);
            what.push(format!(
                "the byte at {place:#x} is {mine:#x} on {one}, {theirs:#x} on {two}"
            ));
        }
        let (mine, theirs) = (self.states, other.states);
        if mine != theirs {
            what.push(format!(
                "state, and whether the guest has it: {mine:?} on {one}, {theirs:?} on {two}"
            ));
        }
        what
    }
}

impl Side {
    /// Now.
    pub fn seen(&self) -> Result<Seen> {
        let mut memory = self.guest.memory.read();
        let behind = memory.len();
        memory.extend(self.areas.read());
        let told = self.is_told(&memory[behind..])?;
        for Range { start, end } in self.places.times() {
            let place = |gpa: u64| match gpa.checked_sub(AREAS) {
                Some(offset) => behind + offset as usize,
                None => (gpa - BASE) as usize,
            };
            memory[place(start)..place(end)].fill(0);
        }
        let (error, words) = STATE.get(&self.guest.vm, &self.guest.vcpu);
        ensure!(error == 0, "getting the state: {error}");
        let state = match words[0] {
            RUNNABLE => RUNNING,
            other => other,
        };
        Ok(Seen {
            memory,
            states: (state, told),
        })
    }

    /// Whether the guest's copy of the states is what KVM has.
    fn is_told(&self, areas: &[u8]) -> Result<Option<bool>> {
        let Some(place) = self.places.states.filter(|_| self.slots && !self.behind) else {
            return Ok(None);
        };
        let (error, kvms) = STATES.get(&self.guest.vm, &self.guest.vcpu);
        ensure!(error == 0, "getting the states: {error}");
        let copy = &areas[(place - AREAS) as usize..];
        let until = self.layout.until() as usize;
        let times = copy[until..self.layout.states() as usize].chunks_exact(8);
        let times = times.map(|bytes| u64::from_le_bytes(*bytes.first_chunk().expect("eight")));
        let state = u64::from(copy[0]);
        Ok(Some(once(state).chain(times).eq(kvms[..6].iter().copied())))
    }
}
