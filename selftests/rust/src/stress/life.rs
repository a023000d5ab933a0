// SPDX-License-Identifier: GPL-2.0

//! The life of one VM: phases in which its vCPUs run and the host works, and looks between them.

use super::dirty::{Clearing, Copy};
use super::machine::Machine;
use super::ops::{Host, Op, OPS};
use super::seen::{Effect, Seen};
use crate::rng::Rng;
use anyhow::{anyhow, Context, Result};
use kvm_bindings::kvm_regs;
use kvmtest::guest::{Pattern, Program};
use kvmtest::memory::Backing;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{LOG_INITIALLY_SET, LOG_MANUAL};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Operations that a report names.
const REMEMBERED: usize = 8;

/// How often each operation was done, by all VMs, and how long that took.
pub struct Counts(Vec<[AtomicU64; 2]>);

impl Counts {
    /// None yet.
    pub fn new() -> Self {
        Self(OPS.iter().map(|_| Default::default()).collect())
    }

    fn add(&self, index: usize, time: Duration) {
        let [count, micros] = &self.0[index];
        count.fetch_add(1, Relaxed);
        micros.fetch_add(time.as_micros() as u64, Relaxed);
    }

    /// By name: how often, and how many milliseconds each time on average.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + '_ {
        OPS.iter().zip(&self.0).map(|(op, [count, micros])| {
            let (count, micros) = (count.load(Relaxed), micros.load(Relaxed));
            (op.name, count, micros / count.max(1) / 1000)
        })
    }

    /// Of all kinds.
    pub fn total(&self) -> u64 {
        self.by_name().map(|(_, count, _)| count).sum()
    }
}

/// What a VM did in its life.
#[derive(Default)]
pub struct Done {
    /// Phases.
    pub phases: u64,
    /// Passes of the vCPUs over the kept memory.
    pub passes: u64,
    /// What happened to it.
    pub seen: Seen,
}

/// A VM and what the host knows of its memory.
struct Life<'a> {
    machine: Machine,
    vcpus: [Vcpu; 2],
    clearing: Clearing,
    rounds: [u32; 2],
    token: u32,
    until: Instant,
    rng: &'a mut Rng,
    counts: &'a Counts,
    history: VecDeque<String>,
}

/// Makes a VM on `backend`, lets it live until the time is over or a little less, and ends it.
///
/// VMs with numbers in a row have every backing with every way to clear the log. The first one shows
/// most: it has huge pages, and logging splits them at once.
pub fn live(
    backend: &str,
    number: usize,
    until: Instant,
    rng: &mut Rng,
    counts: &Counts,
) -> Result<Done> {
    let backing = [Backing::Small, Backing::Huge][number % 2];
    let pattern = [Pattern::Distinct, Pattern::Same][rng.within(0..2) as usize];
    let (machine, vcpus) = Machine::new(backend, backing, pattern)?;
    let clearing = clearing(&machine, number)?;
    if rng.once_in(2) {
        machine.vm.delete_slots_by_range()?;
    }
    let mut life = Life {
        machine,
        vcpus,
        clearing,
        rounds: [1, 2],
        token: 0,
        until,
        rng,
        counts,
        history: VecDeque::new(),
    };
    let phases = life.rng.within(2..6);
    life.all(phases)
        .with_context(|| life.story(backend, backing, pattern))
}

/// Chooses how the VM's log is cleared.
fn clearing(machine: &Machine, number: usize) -> Result<Clearing> {
    match number % 3 {
        1 => return Ok(Clearing::WithGet),
        2 => machine.vm.set_log_mode(LOG_MANUAL)?,
        _ => machine.vm.set_log_mode(LOG_INITIALLY_SET)?,
    }
    Ok(Clearing::ByHand)
}

impl Life<'_> {
    fn all(&mut self, phases: u64) -> Result<Done> {
        let mut done = Done::default();
        for index in 0..2 {
            let fill = self
                .machine
                .over_kept(Program::Fill, index, self.rounds[index]);
            self.machine.run(&mut self.vcpus[index], &fill)?;
        }
        while done.phases < phases && Instant::now() < self.until {
            let before = self.rounds;
            self.phase(done.phases == 0)?;
            self.machine.verify(self.rounds)?;
            done.phases += 1;
            done.passes += u64::from(self.rounds[0] - before[0] + self.rounds[1] - before[1]);
        }
        let faults = self.vcpus[0].faults()? + self.vcpus[1].faults()?;
        self.machine.seen.add(Effect::Fault, faults);
        done.seen.add_all(&self.machine.seen);
        Ok(done)
    }

    /// Both vCPUs run while the host does this and that, perhaps with a copy that follows the log.
    fn phase(&mut self, is_first: bool) -> Result<()> {
        let echo = self.rng.once_in(2);
        let follows = self.rng.once_in(3);
        let operations = self.rng.within(8..24);
        let first = self.machine.over_kept(Program::Advance, 0, self.rounds[0]);
        let second = if echo {
            self.machine.over_taken()
        } else {
            self.machine.over_kept(Program::Advance, 1, self.rounds[1])
        };
        let (machine, [one, two]) = (&self.machine, &mut self.vcpus);
        let mut host = Host {
            machine,
            rng: self.rng,
            copy: None,
            echo,
            token: self.token,
        };
        let mut work = Work {
            until: self.until,
            counts: self.counts,
            history: &mut self.history,
        };
        let ended = during(machine, [(one, first), (two, second)], || {
            if is_first {
                // Later, hardly any huge page may be left to split.
                machine.start_log()?;
                machine.end_log()?;
            }
            if follows {
                host.copy = Some(Copy::start(machine, self.clearing)?);
            }
            work.several(&mut host, operations)
        })?;
        self.token = host.token;
        self.rounds[0] = ended[0].rax as u32;
        if !echo {
            self.rounds[1] = ended[1].rax as u32;
        }
        match host.copy.take() {
            Some(copy) => copy.finish(machine, host.rng),
            None => Ok(()),
        }
    }

    /// What a failure is to be read with.
    fn story(&self, backend: &str, backing: Backing, pattern: Pattern) -> String {
        let history: Vec<_> = self.history.iter().map(String::as_str).collect();
        let rounds = self.rounds;
        format!(
            "VM on {backend}, {backing:?} pages, {pattern:?} content, log cleared {:?}, rounds {rounds:?}; \
             last operations: {}",
            self.clearing,
            history.join(", ")
        )
    }
}

/// The host's work of one phase.
struct Work<'a> {
    until: Instant,
    counts: &'a Counts,
    history: &'a mut VecDeque<String>,
}

impl Work<'_> {
    fn several(&mut self, host: &mut Host<'_>, operations: u64) -> Result<()> {
        for _ in 0..operations {
            if host.machine.failed() || Instant::now() >= self.until {
                break;
            }
            let (index, op) = choose(host);
            let part = host.part_for(op);
            let words = host.describe(op, &part);
            if self.history.len() == REMEMBERED {
                self.history.pop_front();
            }
            self.history.push_back(words.clone());
            let start = Instant::now();
            host.run(op, &part).context(words)?;
            self.counts.add(index, start.elapsed());
        }
        Ok(())
    }
}

/// One of the operations that may be done now, by weight.
fn choose(host: &mut Host<'_>) -> (usize, &'static Op) {
    let possible = || OPS.iter().enumerate();
    let total = possible()
        .filter(|(_, op)| host.may(op))
        .map(|(_, op)| op.weight);
    let total = total.sum();
    let mut left = host.rng.within(0..total);
    for (index, op) in possible() {
        if host.may(op) {
            if left < op.weight {
                return (index, op);
            }
            left -= op.weight;
        }
    }
    unreachable!("the weights add up to {total}")
}

/// Runs each vCPU with its registers, and `host` meanwhile; then ends the guests' loops.
///
/// What a guest found wrong is the better explanation when `host` failed too.
fn during(
    machine: &Machine,
    guests: [(&mut Vcpu, kvm_regs); 2],
    host: impl FnOnce() -> Result<()>,
) -> Result<[kvm_regs; 2]> {
    machine.vm.stop(false);
    thread::scope(|scope| {
        let runs = guests.map(|(vcpu, regs)| {
            scope.spawn(move || {
                step_back();
                machine.run(vcpu, &regs)
            })
        });
        let done = host();
        machine.vm.stop(true);
        let ended = runs.map(|run| run.join().map_err(|_| anyhow!("a vCPU's thread panicked")));
        let [first, second] = ended;
        let ended = [first??, second??];
        done?;
        Ok(ended)
    })
}

/// Lets others go first. Guests always have something to do; where they are more than processors,
/// the host would wait for them at each step.
fn step_back() {
    // SAFETY: of all threads, this changes how the calling one is scheduled. If it fails, the run
    // is slower.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
}
