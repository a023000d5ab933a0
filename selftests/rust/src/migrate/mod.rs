// SPDX-License-Identifier: GPL-2.0

//! A Linux guest that migrates live from QEMU to QEMU, between VMs on C and VMs on Rust.
//!
//! It boots once, and works in its memory all the time (selftests/guest/src/migrant.rs). A QEMU asks KVM in
//! one of three ways which pages the guest has written since it sent them. Each way is the source's
//! once on each backend.

mod host;

use crate::clock::{wait_for, wait_long_for};
use crate::harness;
use crate::linux_guest::{self, Guest};
use anyhow::{bail, ensure, Context, Result};
use host::{Host, Way};
use kvmtest::backend::{self, C, RUST};
use kvmtest::{module, qemu};
use serde_json::{json, Value};
use std::fmt::{self, Display, Formatter};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const FILES: [&str; 3] = ["/guest/vmlinuz", "/guest/initrd", "/guest/dirty_log_way.so"];
/// Where the guest goes, in this order.
const HOSTS: [(&str, Way); 7] = [
    (C, Way::Manual),
    (RUST, Way::Manual),
    (C, Way::Plain),
    (RUST, Way::Plain),
    (RUST, Way::Ring),
    (C, Way::Ring),
    (RUST, Way::Manual),
];
/// Bytes per second that are sent, and milliseconds for which the guest may stand still. So the guest
/// has written more during the first pass over its memory than can be sent while it stands still.
const SPEED: u64 = 48 << 20;
const DOWNTIME: u64 = 60;
/// Passes over the memory, the last one aside: all of it, and at least once what was written meanwhile.
const PASSES: u64 = 2;
/// Reports of the guest until it has checked all of its memory anew: it may have begun the first check, or
/// said half of the line, at the source.
const REPORTS: usize = 3;
/// How much the guest's time may differ from the host's, besides what it stood still: on an emulated machine
/// that others use too, its lines come late.
const LATE: Duration = Duration::from_secs(5);

/// The command `migrate`.
pub fn main(words: impl Iterator<Item = String>) -> Result<ExitCode> {
    ensure!(words.count() == 0, "migrate takes no words");
    Ok(harness::verdict("migrate", run()))
}

fn run() -> Result<()> {
    qemu::lend(&FILES.map(String::from))?;
    let before = backend::counts()?;
    let (first, qemu) = Host::start(0, HOSTS[0])?;
    let mut guest = Guest::new(qemu, false);
    let done = travel(&mut guest, first);
    if done.is_err() {
        guest.show_last();
    }
    done?;
    println!("# on an emulated machine, these times say nothing of hardware");
    wait_for("no VM is left", || {
        let left = backend::counts()?;
        let as_before = |(name, count): (&String, &backend::Count)| {
            count.alive == before.get(name).copied().unwrap_or_default().alive
        };
        Ok(left.iter().all(as_before))
    })?;
    module::unload(module::NAME).context("unloading the module")
}

/// From the first host to the last, where it ends.
fn travel(guest: &mut Guest, first: Host) -> Result<()> {
    let mut at = first;
    for (number, next) in HOSTS.into_iter().enumerate().skip(1) {
        let what = format!("{number}: {at} to {}", next.0);
        at = migrate(guest, at, number, next).context(what)?;
    }
    guest.qemu().tell("stop")?;
    guest.until_it_says("done")?;
    guest.until_it_ends()
}

/// Migrates the guest, and gives where it is then.
fn migrate(
    guest: &mut Guest,
    mut from: Host,
    number: usize,
    to: (&'static str, Way),
) -> Result<Host> {
    let (mut to, qemu) = Host::start(number, to)?;
    let before = reports(guest)?;
    from.is_sound()?;
    from.forget_faults()?;
    let sent = send(guest, &mut from, &to)?;
    let faults = from.faults()?;
    // The vCPUs stand still, and the log is on.
    let sound = from.is_sound();
    let mut left = guest.moves_to(qemu);
    let after = both(sound, arrived(guest, &mut to))?;
    time_went_on(before, after, sent.downtime)?;
    from.quit()?;
    linux_guest::ends(&mut left)?;
    from.asked_in_its_way()?;
    println!("# {number}: {from} to {}: {sent}; {faults}", to.backend);
    Ok(to)
}

/// The guest goes on there.
fn arrived(guest: &mut Guest, to: &mut Host) -> Result<Moment> {
    let after = reports(guest)?;
    to.is_running()?;
    to.is_sound()?;
    Ok(after)
}

/// The second, if both are right. What is wrong at the source may be wrong for the guest as well.
fn both<T>(first: Result<()>, second: Result<T>) -> Result<T> {
    match (first, second) {
        (Err(first), Err(second)) => bail!("{first:#}; and {second:#}"),
        (first, second) => first.and(second),
    }
}

/// Sends the guest, which goes on working until the last moment.
fn send(guest: &mut Guest, from: &mut Host, to: &Host) -> Result<Sent> {
    from.qmp.execute(
        "migrate-set-parameters",
        json!({"max-bandwidth": SPEED, "downtime-limit": DOWNTIME}),
    )?;
    from.qmp.execute("migrate", json!({"uri": to.uri()}))?;
    let mut state = Value::Null;
    let ended = wait_long_for("the migration ends", || {
        guest.listen()?;
        state = from.qmp.execute("query-migrate", json!({}))?;
        match state["status"].as_str() {
            Some("completed") => Ok(true),
            Some("failed" | "cancelled") => bail!("QEMU gives up: {}", state["error-desc"]),
            _ => Ok(false),
        }
    });
    ended.with_context(|| progress(&state["ram"]))?;
    guest.listen()?;
    Sent::of(&state)
}

/// How far a migration got, for people.
fn progress(ram: &Value) -> String {
    let [passes, left, rate] = ["dirty-sync-count", "remaining", "dirty-pages-rate"];
    format!(
        "after {} passes, with {} bytes left and {} pages written per second",
        ram[passes], ram[left], ram[rate]
    )
}

/// What QEMU says of a migration.
struct Sent {
    passes: u64,
    total: u64,
    downtime: Duration,
    pages: u64,
}

impl Sent {
    fn of(state: &Value) -> Result<Self> {
        let number = |value: &Value| value.as_u64().with_context(|| format!("QEMU says {state}"));
        let sent = Self {
            passes: number(&state["ram"]["dirty-sync-count"])?,
            total: number(&state["total-time"])?,
            downtime: Duration::from_millis(number(&state["downtime"])?),
            pages: number(&state["ram"]["normal"])?,
        };
        ensure!(
            sent.passes > PASSES,
            "only {} passes over the memory",
            sent.passes
        );
        Ok(sent)
    }
}

impl Display for Sent {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            passes,
            total,
            downtime,
            pages,
        } = self;
        write!(
            to,
            "{passes} passes, {pages} pages, {total} ms, {} ms of them without the guest",
            downtime.as_millis()
        )
    }
}

/// A moment on two clocks.
struct Moment {
    guest: Duration,
    host: Instant,
}

/// Faults until the guest has checked all of its memory, and gives the time of its last report.
fn reports(guest: &mut Guest) -> Result<Moment> {
    guest.listen()?;
    let mut last = String::new();
    for _ in 0..REPORTS {
        last = guest.until_it_says("at ")?;
    }
    let host = Instant::now();
    let (time, _) = last.split_once(" ms").context("a report has a time")?;
    Ok(Moment {
        guest: Duration::from_millis(time.parse()?),
        host,
    })
}

/// The guest's clock went on as the host's, or stood still with the guest.
fn time_went_on(before: Moment, after: Moment, downtime: Duration) -> Result<()> {
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
    use super::{time_went_on, Moment};
    use std::time::{Duration, Instant};

    #[test]
    fn time_may_stand_still_but_not_jump() {
        let begin = Instant::now();
        let judged = |guest: u64, host: u64| {
            let at = |guest, host| Moment {
                guest: Duration::from_secs(guest),
                host: begin + Duration::from_secs(host),
            };
            time_went_on(at(100, 0), at(guest, host), Duration::from_secs(2)).is_ok()
        };
        assert!(judged(110, 10));
        assert!(judged(108, 14));
        assert!(!judged(130, 10));
        assert!(!judged(100, 10));
        assert!(!judged(99, 1));
    }
}
