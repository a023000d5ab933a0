// SPDX-License-Identifier: GPL-2.0

//! One migration, as QEMU makes it and tells of it.

use super::host::Host;
use crate::clock::wait_long_for;
use crate::linux_guest::Guest;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::qmp::Qmp;
use serde_json::{json, Value};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Bytes per second that are sent, and milliseconds for which the guest may stand still. So the guest
/// has written more during the first pass over its memory than can be sent while it stands still.
const SPEED: u64 = 48 << 20;
const DOWNTIME: u64 = 60;
/// Passes over the memory, the last one aside: all of it, and at least once what was written meanwhile.
const PASSES: u64 = 2;
/// After so many, the machine is too busy to send even little in that time. Then the guest may stand still longer.
const ENOUGH: u64 = 12;
const LONG_DOWNTIME: u64 = 2000;

/// What QEMU says of a migration.
pub struct Sent {
    passes: u64,
    total: u64,
    pub downtime: Duration,
    pages: u64,
}

impl Sent {
    /// Sends the guest, which goes on working until the last moment.
    pub fn now(guest: &mut Guest, from: &mut Host, to: &Host) -> Result<Self> {
        let mut limit = DOWNTIME;
        from.qmp.execute(
            "migrate-set-parameters",
            json!({"max-bandwidth": SPEED, "downtime-limit": limit}),
        )?;
        from.qmp.execute("migrate", json!({"uri": to.uri()}))?;
        let mut state = Value::Null;
        let ended = wait_long_for("the migration ends", || {
            guest.listen()?;
            state = from.qmp.execute("query-migrate", json!({}))?;
            match state["status"].as_str() {
                Some("completed") => Ok(true),
                Some("failed" | "cancelled") => bail!("QEMU gives up: {}", state["error-desc"]),
                _ => allow_longer(&mut from.qmp, &state, &mut limit).map(|()| false),
            }
        });
        ended.with_context(|| progress(&state["ram"]))?;
        guest.listen()?;
        Self::of(&state)
    }

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

/// The guest may stand still longer from now on, if there were enough passes without an end.
fn allow_longer(qmp: &mut Qmp, state: &Value, limit: &mut u64) -> Result<()> {
    let passes = state["ram"]["dirty-sync-count"].as_u64();
    if *limit == LONG_DOWNTIME || passes <= Some(ENOUGH) {
        return Ok(());
    }
    *limit = LONG_DOWNTIME;
    qmp.execute("migrate-set-parameters", json!({"downtime-limit": limit}))
        .map(drop)
}

/// How far a migration got, for people.
fn progress(ram: &Value) -> String {
    let [passes, left, rate] = ["dirty-sync-count", "remaining", "dirty-pages-rate"];
    format!(
        "after {} passes, with {} bytes left and {} pages written per second",
        ram[passes], ram[left], ram[rate]
    )
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
