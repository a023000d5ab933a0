// SPDX-License-Identifier: GPL-2.0

//! A QEMU that can have the guest: its backend, and how it asks KVM for what the guest has written.

use crate::clock::wait_long_for;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::inside::Inside;
use kvmtest::qemu::Qemu;
use kvmtest::qmp::Qmp;
use kvmtest::{backend, sysfs};
use serde_json::json;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

const QEMU: &str = "/usr/bin/qemu-system-x86_64 -smp 2
    -nodefaults -no-user-config -display none -no-reboot -serial stdio
    -kernel /tmp/vmlinuz -initrd /tmp/initrd";
/// A busy machine is not the guest's fault, so nobody watches whether it hangs, or whether its timer is late. The
/// kernel says all that it does while it boots: so it shows that it goes on, or where it hangs.
const CMDLINE: &str = "console=ttyS0 panic=-1 nowatchdog no_timer_check";
/// Counts what QEMU asks KVM for (selftests/preload/dirty_log_way.c).
const LIBRARY: &str = "/tmp/dirty_log_way.so";

/// How a QEMU asks KVM for what the guest has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A bitmap, from which it clears a part right before it sends that part. Huge pages are split then.
    Manual,
    /// A bitmap that KVM clears when QEMU reads it.
    Plain,
    /// A ring for each vCPU.
    Ring,
}

impl Way {
    /// For the library, and for QEMU's accelerator. It takes the first way if KVM has it, so for the second KVM has
    /// to lack it.
    fn options(self) -> (&'static str, &'static str) {
        match self {
            Self::Manual => ("HIDE=", ""),
            Self::Plain => ("HIDE=1", ""),
            Self::Ring => ("HIDE=", ",dirty-ring-size=4096"),
        }
    }

    /// Whether it is this way if QEMU has read bitmaps, cleared them, and reset rings so often.
    fn is(self, [read, cleared, reset]: [u64; 3]) -> bool {
        let way = match self {
            Self::Manual => [true, true, false],
            Self::Plain => [true, false, false],
            Self::Ring => [false, false, true],
        };
        way == [read > 0, cleared > 0, reset > 0]
    }
}

impl Display for Way {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Manual => "manual protect",
            Self::Plain => "plain log",
            Self::Ring => "ring",
        })
    }
}

/// What the guest needs besides processors: the same of all QEMUs that it comes to.
pub struct Needs {
    /// Of QEMU's accelerator, and other options, with the size of the guest's memory.
    pub accel: &'static str,
    pub options: &'static str,
    /// A part of the first QEMU that does not go along.
    pub stays: &'static str,
    /// The end of the kernel's command line.
    pub cmdline: &'static str,
    /// A library that QEMU loads, and the variables for it in the QEMU with this number.
    pub library: &'static str,
    pub variables: fn(usize) -> Vec<String>,
    /// What to do with the process of a QEMU that has just started.
    pub prepare: fn(u32) -> Result<()>,
}

/// What a QEMU is asked about while it runs.
pub struct Host {
    number: usize,
    pub backend: &'static str,
    pub way: Way,
    inside: Inside,
    pub qmp: Qmp,
}

impl Display for Host {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(to, "{} ({})", self.backend, self.way)
    }
}

impl Host {
    /// Starts it. All but the first one wait for the guest.
    pub fn start(
        needs: &Needs,
        number: usize,
        (backend, way): (&'static str, Way),
    ) -> Result<(Self, Qemu)> {
        backend::choose(backend)?;
        let made = backend::count(backend)?.created;
        let mut qemu = Qemu::start(&words(needs, number, way))?;
        let socket = qmp_socket(number);
        wait_long_for("QEMU makes its control socket", || {
            if qemu.ended()?.is_some() {
                bail!("QEMU does not start: {}", qemu.kill().join("; "));
            }
            Ok(Qmp::connect(&socket).is_ok())
        })?;
        (needs.prepare)(qemu.pid())?;
        let now = backend::count(backend)?.created;
        ensure!(now == made + 1, "the VM is not on {backend}");
        let host = Self {
            number,
            backend,
            way,
            inside: Inside::of_process(qemu.pid())?,
            qmp: Qmp::connect(&socket)?,
        };
        Ok((host, qemu))
    }

    /// Where it waits for the guest.
    pub fn uri(&self) -> String {
        uri(self.number)
    }

    /// Nothing is wrong in its page tables.
    pub fn is_sound(&self) -> Result<()> {
        let wrong = self.inside.wrong()?;
        let wrong = wrong.context("nobody can look at the page tables")?;
        if let Some(first) = wrong.first() {
            bail!("mmu_check of {self}: {} lines, first {first}", wrong.len());
        }
        Ok(())
    }

    /// The guest runs here.
    pub fn is_running(&mut self) -> Result<()> {
        let state = self.qmp.execute("query-status", json!({}))?;
        ensure!(state["running"] == true, "QEMU says {state}");
        Ok(())
    }

    /// From now on the longest wait of a fault is a new one.
    pub fn forget_longest(&self) -> Result<()> {
        sysfs::write(&self.inside.path("mmu_stats"), "0")
    }

    /// Those of the vCPUs so far, and the longest wait since it was forgotten.
    pub fn faults(&self) -> Result<Faults> {
        let number = |name| sysfs::number(&self.inside.path(name));
        let wait = |name| sysfs::number_in(&self.inside.path("mmu_stats"), name);
        Ok(Faults {
            all: number("pf_taken")?,
            fast: number("pf_fast")?,
            longest: Duration::from_nanos(wait("mmu_lock_wait_max_ns")?),
            waited: Duration::from_nanos(wait("mmu_lock_wait_ns")?),
        })
    }

    /// Tells it to end.
    pub fn quit(&mut self) -> Result<()> {
        self.qmp.execute("quit", json!({})).map(drop)
    }

    /// After its end: it has asked KVM in the way that it should.
    pub fn asked_in_its_way(&self) -> Result<()> {
        let text = sysfs::read(&counts(self.number))?;
        let numbers: Vec<u64> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let asked = numbers.try_into().ok().is_some_and(|all| self.way.is(all));
        ensure!(asked, "QEMU took another way than {}: {text}", self.way);
        Ok(())
    }
}

/// Faults of the vCPUs: all, and those without `mmu_lock`. How long the others have waited for it, the longest wait
/// and all together.
pub struct Faults {
    all: u64,
    fast: u64,
    pub longest: Duration,
    pub waited: Duration,
}

impl Faults {
    /// Those that came after `before`.
    pub fn since(self, before: &Self) -> Self {
        Self {
            all: self.all - before.all,
            fast: self.fast - before.fast,
            longest: self.longest,
            waited: self.waited - before.waited,
        }
    }
}

impl Display for Faults {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Self { all, fast, .. } = self;
        let (longest, waited) = (self.longest.as_micros(), self.waited.as_micros());
        write!(
            to,
            "{all} faults, {fast} without mmu_lock, waits for it: {longest} us at most, {waited} us in all"
        )
    }
}

fn words(needs: &Needs, number: usize, way: Way) -> Vec<String> {
    let (hide, ring) = way.options();
    let mut words = vec![
        "/usr/bin/env".to_string(),
        format!("LD_PRELOAD={LIBRARY}:{}", needs.library),
        hide.to_string(),
        format!("COUNTS={}", counts(number)),
    ];
    words.extend((needs.variables)(number));
    let stays = if number == 0 { needs.stays } else { "" };
    for options in [QEMU, needs.options, stays] {
        words.extend(options.split_whitespace().map(String::from));
    }
    let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
    option("-append", format!("{CMDLINE} {}", needs.cmdline));
    option("-accel", format!("kvm{}{ring}", needs.accel));
    option(
        "-qmp",
        format!("unix:{},server=on,wait=off", qmp_socket(number)),
    );
    if number > 0 {
        option("-incoming", uri(number));
    }
    words
}

fn counts(number: usize) -> String {
    format!("/tmp/counts-{number}")
}

fn qmp_socket(number: usize) -> String {
    format!("/tmp/qmp-{number}")
}

fn uri(number: usize) -> String {
    format!("unix:/tmp/migrate-{number}")
}

#[cfg(test)]
mod tests {
    use super::Way;

    #[test]
    fn each_way_asks_for_something_else() {
        for (asked, way) in [
            ([3, 9, 0], Way::Manual),
            ([3, 0, 0], Way::Plain),
            ([0, 0, 7], Way::Ring),
        ] {
            let fits = |other: &Way| other.is(asked);
            let ways = [Way::Manual, Way::Plain, Way::Ring];
            assert_eq!(ways.into_iter().filter(fits).collect::<Vec<_>>(), [way]);
        }
    }
}
