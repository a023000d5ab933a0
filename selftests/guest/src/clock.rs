// SPDX-License-Identifier: GPL-2.0

//! A clock that must go on, whichever thread looks at it.

use anyhow::{ensure, Result};
use rustix::time::{clock_gettime, ClockId};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// One of the kernel's clocks, and the latest that anybody has seen of it.
pub struct Clock {
    id: ClockId,
    latest: AtomicU64,
}

impl Clock {
    /// Nobody has looked yet.
    pub fn new(id: ClockId) -> Self {
        let latest = AtomicU64::new(now(id));
        Self { id, latest }
    }

    /// The time. It is not before what others have seen, and no more than `most` behind it.
    pub fn look(&self, most: Duration) -> Result<Duration> {
        let before = self.latest.load(SeqCst);
        let now = now(self.id);
        ensure!(now >= before, "time went back by {} ns", before - now);
        let step = Duration::from_nanos(now - before);
        ensure!(step <= most, "time jumped by {step:?}");
        self.latest.fetch_max(now, SeqCst);
        Ok(Duration::from_nanos(now))
    }
}

/// In nanoseconds.
fn now(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
