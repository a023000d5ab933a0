// SPDX-License-Identifier: GPL-2.0

//! A real guest on the Rust backend, in front of a person.
//!
//! QEMU boots a Linux guest that works on its memory. The host moves this memory from node to node
//! under it. Then dirty logging goes on and off, as
//! live migration would do it, and KVM's own figures of the VM are reported all the time. In the end, faults go on
//! beside harvests of a log, on C and on Rust. What should be seen is checked: the host takes pages away and gives
//! others, huge pages are split and come back, the guest's data stays right, faults do not stand still while Rust
//! harvests, and nothing is left when it is gone.

mod figures;
mod guest;
mod harvest;
mod map;

use crate::backend;
use crate::events::{emit, mark, Event};
use crate::job::Demo;
use crate::kernel_log::KernelLog;
use anyhow::{bail, ensure, Context, Result};
use figures::{Figures, Vm};
use guest::Guest;
use harvest::Seen;
use kvmtest::backend::{C, RUST};
use kvmtest::module;
use kvmtest::nodes::{self, Node};
use kvmtest::qmp::Qmp;
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(250);
const TOO_EARLY: &str = "the guest ended too early";
/// Seconds that dirty pages are counted for. QEMU tells whole MiB a second, and on a busy machine the
/// guest may write less than that in one or two.
const LOGGING: u64 = 5;
const PAGES_PER_MIB: u64 = 256;
/// What must be split, and must come back, of the huge pages there were: a half.
const PART: u64 = 2;
/// How often the guest's memory goes to the other node.
const MOVES: u64 = 2;

/// Runs the whole demo.
pub fn run(demo: &Demo) -> Result<()> {
    phase("module");
    let mut log = KernelLog::open()?;
    module::load(&demo.module, "")?;
    note(&log.line_with(&format!("{}: ready", demo.name))?);
    backend::choose(RUST)?;
    Show::start(demo)?.play(demo)?;
    harvest_logs()?;
    phase("after");
    if let Some(left) = backend::leftovers()? {
        bail!(left);
    }
    note("the VM is gone: pages_4k 0, pages_2m 0, pages_1g 0, no page table left");
    module::unload(&demo.name).context("unloading the module")?;
    note("the module is unloaded");
    Ok(())
}

/// Logs are harvested on both backends while a vCPU faults.
fn harvest_logs() -> Result<()> {
    phase("harvest");
    let [c, rust] = &harvest::run()?;
    let times = |what: &str, time: fn(&Seen) -> Duration| {
        let [c, rust] = [c, rust].map(|seen| time(seen).as_micros() as f64 / 1000.0);
        note(&format!("{what}: C {c:.1} ms, Rust {rust:.1} ms"));
    };
    note(&format!(
        "faults completed while a harvest ran: C {}, Rust {} (medians of {})",
        c.median(),
        rust.median(),
        c.harvests()
    ));
    times("longest wait of a fault for mmu_lock", |seen| seen.longest);
    times("a harvest took", Seen::time);
    ensure!(
        harvest::is_enough(c, rust),
        "hardly more faults than on C go on while Rust harvests a log"
    );
    ensure!(
        rust.waits_little(),
        "a fault waits for much of a harvest on Rust"
    );
    backend::choose(RUST)
}

fn phase(name: &str) {
    mark(&format!("start demo {name}"));
    emit(&Event::Phase { phase: name });
}

fn note(line: &str) {
    emit(&Event::Note { line });
}

/// The guest, and what watches it.
struct Show {
    guest: Guest,
    qmp: Qmp,
    vm: Vm,
    tool: String,
    limit: Duration,
}

impl Show {
    /// Starts QEMU and waits for its VM.
    fn start(demo: &Demo) -> Result<Self> {
        phase("boot");
        let mut guest = Guest::start(demo)?;
        let limit = Duration::from_secs(demo.limit);
        let (qmp, vm) = match connect(demo, &guest, limit) {
            Ok(both) => both,
            Err(error) => return Err(guest.blame(error)),
        };
        let (on_rust, on_c) = (backend::count(RUST)?.alive, backend::count(C)?.alive);
        ensure!(
            (on_rust, on_c) == (1, 0),
            "VMs alive on Rust and C: {on_rust} and {on_c}, should be 1 and 0"
        );
        note("kvm counts 1 VM on the Rust backend, none on C");
        Ok(Self {
            guest,
            qmp,
            vm,
            tool: demo.tool.clone(),
            limit,
        })
    }

    fn play(mut self, demo: &Demo) -> Result<()> {
        self.scenes(demo).map_err(|error| self.guest.blame(error))
    }

    fn scenes(&mut self, demo: &Demo) -> Result<()> {
        self.until_guest_says("up ")?;
        phase("work");
        self.move_memory()?;
        for round in 1..=demo.rounds {
            self.until_guest_says(&format!("round {round}:"))?;
        }
        self.map("before")?;
        for cycle in 0..demo.cycles {
            self.log_dirty_pages(cycle == 0)?;
        }
        self.map("after")?;
        self.shut_down()
    }

    fn map(&self, moment: &str) -> Result<()> {
        map::show(&self.tool, self.guest.pid(), moment)
    }

    fn shut_down(&mut self) -> Result<()> {
        phase("shutdown");
        self.guest.ask_to_stop()?;
        let start = Instant::now();
        while self.guest.runs()? {
            // The VM goes before QEMU does.
            if let Ok(figures) = self.vm.figures() {
                emit(&Event::Figures { values: &figures.0 });
            }
            ensure!(start.elapsed() < self.limit, "the guest does not shut down");
            sleep(INTERVAL);
        }
        ensure!(self.guest.has_said("done "), "{TOO_EARLY}");
        Ok(())
    }

    /// The host moves the guest's memory to one of its nodes and the other. Each page is taken from
    /// the guest for that, and it gets the new one when it faults.
    fn move_memory(&mut self) -> Result<()> {
        let before = self.vm.figures()?;
        let (pid, mut node, mut left) = (self.guest.pid(), Node::One, MOVES);
        self.watch("the memory to be moved", |_, _| {
            nodes::move_process(pid, node)?;
            (node, left) = (node.other(), left - 1);
            Ok(left == 0)
        })?;
        let now = self.vm.figures()?;
        let (taken, given) = (now.taken() - before.taken(), now.given() - before.given());
        note(&format!(
            "the host moved the guest's memory to its other node and back: \
             {taken} invalidations, {given} faults that mapped a page"
        ));
        ensure!(taken > 0 && given > 0, "the host took no memory away");
        Ok(())
    }

    /// Dirty logging goes on, so that huge pages are split, and off, so that they come back. `maps`
    /// asks for a map in between.
    fn log_dirty_pages(&mut self, mut maps: bool) -> Result<()> {
        let before = self.vm.figures()?.huge();
        phase("log-on");
        let how = json!({"calc-time": LOGGING, "mode": "dirty-bitmap"});
        self.qmp.execute("calc-dirty-rate", how)?;
        let mut lowest = before;
        let mut rate = None;
        let start = Instant::now();
        self.watch("the count of dirty pages", |show, figures| {
            lowest = lowest.min(figures.huge());
            if maps && figures.huge() < before / PART {
                show.map("during")?;
                maps = false;
            }
            // QEMU is busy until then, and would keep its answer and this thread waiting.
            if start.elapsed().as_secs() < LOGGING {
                return Ok(false);
            }
            let answer = show.qmp.execute("query-dirty-rate", json!({}))?;
            if answer["status"] == "measured" {
                rate = answer["dirty-rate"].as_u64();
            }
            Ok(rate.is_some())
        })?;
        phase("log-off");
        let rate = rate.unwrap_or(0);
        let pages = rate * LOGGING * PAGES_PER_MIB;
        note(&format!(
            "dirty log: {rate} MiB a second, {pages} pages of 4K in {LOGGING} s"
        ));
        ensure!(rate > 0, "the dirty log found no dirty page");
        ensure!(
            lowest < before / PART,
            "of {before} huge pages only {} were split",
            before - lowest
        );
        self.watch("huge pages to come back", |_, figures| {
            Ok(figures.huge() >= before / PART)
        })?;
        let after = self.vm.figures()?.huge();
        note(&format!(
            "2M pages: {before} before, {lowest} while logging, {after} after"
        ));
        Ok(())
    }

    fn until_guest_says(&mut self, word: &str) -> Result<()> {
        let what = format!("the guest to say '{}'", word.trim());
        self.watch(&what, |show, _| Ok(show.guest.has_said(word)))
    }

    /// Reports figures and the guest's words until `done`.
    fn watch(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self, &Figures) -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            ensure!(self.guest.runs()?, "{TOO_EARLY}");
            let figures = match self.vm.figures() {
                Err(_) if !self.guest.runs_after(INTERVAL)? => bail!("{TOO_EARLY}"),
                other => other?,
            };
            emit(&Event::Figures { values: &figures.0 });
            if done(self, &figures)? {
                return Ok(());
            }
            ensure!(start.elapsed() < self.limit, "waited in vain for {what}");
            sleep(INTERVAL);
        }
    }
}

/// Waits until QEMU answers and its VM is there.
fn connect(demo: &Demo, guest: &Guest, limit: Duration) -> Result<(Qmp, Vm)> {
    let start = Instant::now();
    loop {
        let found = Vm::of_process(guest.pid())?;
        match (Qmp::connect(&demo.qmp), found) {
            (Ok(qmp), Some(vm)) => return Ok((qmp, vm)),
            _ => ensure!(start.elapsed() < limit, "QEMU does not start"),
        }
        ensure!(guest.is_running(), "QEMU ended at once");
        sleep(Duration::from_millis(100));
    }
}
