// SPDX-License-Identifier: GPL-2.0

//! A copy of the kept memory that follows the dirty log, as at a live migration's other end.

use super::machine::{pages, Machine, WORDS};
use super::seen::Effect;
use crate::rng::Rng;
use anyhow::{ensure, Result};

/// How a VM's log is cleared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clearing {
    /// By getting it.
    WithGet,
    /// By a call of its own.
    ByHand,
}

/// The copy.
pub struct Copy {
    clearing: Clearing,
    words: Vec<[u32; WORDS.len()]>,
}

impl Copy {
    /// Starts the log, and then copies everything: what is written later is in the log.
    pub fn start(machine: &Machine, clearing: Clearing) -> Result<Self> {
        machine.start_log()?;
        let words = pages(&machine.kept).map(|(page, _)| words(machine, page));
        let words = words.collect();
        Ok(Self { clearing, words })
    }

    /// Copies the pages that are in the log, after it was cleared of them.
    pub fn follow(&mut self, machine: &Machine, rng: &mut Rng) -> Result<()> {
        let (vm, slot) = (&machine.vm, &machine.kept.slot);
        let mut log = vm.get_log(slot)?;
        let count = self.words.len() as u64;
        if self.clearing == Clearing::ByHand {
            // In two parts, so that calls do not always begin at the slot's start.
            let middle = rng.within(1..count / 64) * 64;
            vm.clear_log(slot, 0, middle, &mut log)?;
            vm.clear_log(
                slot,
                middle,
                count - middle,
                &mut log[middle as usize / 64..],
            )?;
        }
        for (index, (page, _)) in pages(&machine.kept).enumerate() {
            if log[index / 64] >> (index % 64) & 1 != 0 {
                self.words[index] = words(machine, page);
                machine.seen.add(Effect::Dirty, 1);
            }
        }
        Ok(())
    }

    /// Once more, after the vCPUs have stopped: the copy is equal then. Ends the log.
    pub fn finish(mut self, machine: &Machine, rng: &mut Rng) -> Result<()> {
        self.follow(machine, rng)?;
        for (copy, (page, gpa)) in self.words.iter().zip(pages(&machine.kept)) {
            let now = words(machine, page);
            ensure!(
                *copy == now,
                "a write is missing from the dirty log: the page at {gpa:#x} was copied with \
                 {copy:x?} and has {now:x?}"
            );
        }
        machine.end_log()
    }
}

fn words(machine: &Machine, page: u64) -> [u32; WORDS.len()] {
    WORDS.map(|word| machine.kept.memory.load(page + word))
}
