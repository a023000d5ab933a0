// SPDX-License-Identifier: GPL-2.0

//! Whose tasks are whose. Events name the task, and no VM.

use crate::vms::{self, Vm};
use anyhow::Result;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// For which VM a task works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// For the one that is watched.
    Mine,
    /// For another one.
    Others,
    /// For several VMs, or for the host.
    Unclear,
}

/// The processes with VMs at some moment.
#[derive(Default)]
pub struct Tasks {
    /// There is no other VM.
    alone: bool,
    /// The process of the VM, and whether it has others.
    process: Option<u32>,
    has_more: bool,
    others: HashSet<u32>,
    known: HashMap<u32, Whose>,
}

impl Tasks {
    /// As it is now.
    pub fn look(debugfs: &Path, vm: &Vm) -> Result<Self> {
        let mut other_vms = vms::all(debugfs)?;
        other_vms.retain(|other| other.name != vm.name);
        Ok(Self::new(
            vm.process(),
            &other_vms.iter().map(Vm::process).collect::<Vec<_>>(),
        ))
    }

    /// `process` has the VM, and `others` have one other VM each.
    pub fn new(process: Option<u32>, others: &[Option<u32>]) -> Self {
        let mut known: HashSet<u32> = others.iter().flatten().copied().collect();
        Self {
            alone: others.is_empty(),
            process,
            has_more: process.is_some_and(|process| known.remove(&process)),
            others: known,
            known: HashMap::new(),
        }
    }

    /// For which VM task `pid` works.
    pub fn whose(&mut self, pid: u32) -> Whose {
        if let Some(whose) = self.known.get(&pid) {
            return *whose;
        }
        let whose = self.of_process(vms::process_of(pid));
        self.known.insert(pid, whose);
        whose
    }

    /// For which VM the tasks of a process work.
    pub fn of_process(&self, process: Option<u32>) -> Whose {
        match process {
            _ if self.alone => Whose::Mine,
            Some(_) if process == self.process && !self.has_more => Whose::Mine,
            Some(process) if self.others.contains(&process) => Whose::Others,
            _ => Whose::Unclear,
        }
    }
}
