// SPDX-License-Identifier: GPL-2.0

//! A guest that goes from QEMU to QEMU, and what must be right on the way.

use super::host::{Host, Needs, Way};
use super::sent::Sent;
use super::waits::Waits;
use crate::clock::wait_for;
use crate::linux_guest::{self, Guest};
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend::{self, Count};
use kvmtest::qemu::Qemu;
use std::mem;
use std::time::{Duration, Instant};

/// Reports of the guest until it has checked all of its memory anew: it may have begun the first check, or
/// said half of the line, at the source.
const REPORTS: usize = 3;
/// How much the guest's time may differ from the host's, besides what it stood still: on an emulated machine
/// that others use too, its lines come late.
const LATE: Duration = Duration::from_secs(5);

/// The guest, and where it is.
pub struct Journey {
    needs: &'static Needs,
    pub guest: Guest,
    pub at: Host,
    number: usize,
    /// How long faults have waited where it was.
    pub waits: Waits,
}

/// Boots the guest in the first QEMU, has it travel, and ends it where it is then. No VM is left of it.
pub fn run(
    needs: &'static Needs,
    first: (&'static str, Way),
    travel: impl FnOnce(&mut Journey) -> Result<()>,
) -> Result<()> {
    let before = backend::counts()?;
    let (at, qemu) = Host::start(needs, 0, first)?;
    let mut journey = Journey {
        needs,
        guest: Guest::new(qemu, false),
        at,
        number: 0,
        waits: Waits::default(),
    };
    let done = travel(&mut journey).and_then(|()| journey.end());
    if done.is_err() {
        journey.guest.show_last();
    }
    done?;
    println!("# on an emulated machine, these times say nothing of hardware");
    wait_for("no VM is left", || {
        let left = backend::counts()?;
        let as_before = |(name, count): (&String, &Count)| {
            count.alive == before.get(name).copied().unwrap_or_default().alive
        };
        Ok(left.iter().all(as_before))
    })
}

impl Journey {
    /// Migrates the guest. Gives what `look` finds at the QEMU that the guest has left.
    pub fn go<T>(
        &mut self,
        to: (&'static str, Way),
        look: impl FnOnce(&Qemu) -> Result<T>,
    ) -> Result<T> {
        self.number += 1;
        let what = format!("{}: {} to {}", self.number, self.at, to.0);
        self.migrate(to, look).context(what)
    }

    fn migrate<T>(
        &mut self,
        to: (&'static str, Way),
        look: impl FnOnce(&Qemu) -> Result<T>,
    ) -> Result<T> {
        let (to, qemu) = Host::start(self.needs, self.number, to)?;
        let before = self.reports()?;
        self.at.is_sound()?;
        self.at.forget_longest()?;
        let faults_before = self.at.faults()?;
        self.guest.qemu().tell("read")?;
        let sent = Sent::now(&mut self.guest, &mut self.at, &to)?;
        let faults = self.at.faults()?.since(&faults_before);
        self.waits.note(self.at.way, self.at.backend, &faults);
        // The vCPUs stand still, and the log is on.
        let sound = self.at.is_sound();
        let mut left = self.guest.moves_to(qemu);
        let mut from = mem::replace(&mut self.at, to);
        let after = both(sound, self.arrived())?;
        time_went_on(&before, &after, sent.downtime)?;
        let found = look(&left)?;
        from.quit()?;
        linux_guest::ends(&mut left)?;
        from.asked_in_its_way()?;
        println!(
            "# {}: {from} to {}: {sent}; {faults}",
            self.number, self.at.backend
        );
        Ok(found)
    }

    /// The guest goes on here.
    fn arrived(&mut self) -> Result<Report> {
        let report = self.reports()?;
        self.at.is_running()?;
        self.at.is_sound()?;
        Ok(report)
    }

    /// Faults until the guest has checked all of its memory, and gives its last report.
    pub fn reports(&mut self) -> Result<Report> {
        self.guest.listen()?;
        let mut last = String::new();
        for _ in 0..REPORTS {
            last = self.guest.until_it_says("at ")?;
        }
        Report::of(&last)
    }

    fn end(&mut self) -> Result<()> {
        self.guest.qemu().tell("stop")?;
        self.guest.until_it_says("done")?;
        self.guest.until_it_ends()
    }
}

/// The second, if both are right. What is wrong at the source may be wrong for the guest as well.
fn both<T>(first: Result<()>, second: Result<T>) -> Result<T> {
    match (first, second) {
        (Err(first), Err(second)) => bail!("{first:#}; and {second:#}"),
        (first, second) => first.and(second),
    }
}

/// What the guest says, and the moment on two clocks.
pub struct Report {
    guest: Duration,
    host: Instant,
    pub words: String,
}

impl Report {
    fn of(line: &str) -> Result<Self> {
        let host = Instant::now();
        let (time, words) = line.split_once(" ms").context("a report has a time")?;
        Ok(Self {
            guest: Duration::from_millis(time.parse()?),
            host,
            words: words.to_string(),
        })
    }
}

/// The guest's clock went on as the host's, or stood still with the guest.
fn time_went_on(before: &Report, after: &Report, downtime: Duration) -> Result<()> {
    let host = after.host - before.host;
    let guest = after.guest.checked_sub(before.guest);
    let guest = guest.context("the guest's time went back")?;
    ensure!(
        guest <= host + LATE && host <= guest + downtime + LATE,
        "the guest's time went on by {guest:?}, and the host's by {host:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{time_went_on, Report};
    use std::time::{Duration, Instant};

    #[test]
    fn time_may_stand_still_but_not_jump() {
        let begin = Instant::now();
        let judged = |guest: u64, host: u64| {
            let at = |guest, host| Report {
                guest: Duration::from_secs(guest),
                host: begin + Duration::from_secs(host),
                words: String::new(),
            };
            time_went_on(&at(100, 0), &at(guest, host), Duration::from_secs(2)).is_ok()
        };
        assert!(judged(110, 10));
        assert!(judged(108, 14));
        assert!(!judged(130, 10));
        assert!(!judged(100, 10));
        assert!(!judged(99, 1));
    }
}
