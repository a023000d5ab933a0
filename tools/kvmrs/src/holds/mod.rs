// SPDX-License-Identifier: GPL-2.0

//! How long `mmu_lock` was held, by what for.
//!
//! KVM does not count this. So probes on the functions that take and drop rwlocks write an event each, while
//! somebody looks.
//!
//! - [`probes`]: the probes
//! - [`lines`]: their events
//! - [`classes`]: what for a function takes the lock
//! - [`pairs`]: holds, each from its begin to its end
//! - [`listen`]: all of them together

pub mod classes;
pub mod lines;
pub mod listen;
pub mod pairs;
pub mod probes;

use serde::Serialize;

/// What the lock was held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Page faults of guests, and pages that are mapped before.
    Faults,
    /// The host takes pages away.
    Invalidations,
    /// Dirty pages are logged, or no more.
    DirtyLogs,
    /// Memory slots go, or the whole VM.
    Memslots,
    /// Page tables are begun, and taken apart.
    Roots,
    /// Huge pages that were split against the bug of CPUs come back.
    NxRecovery,
    /// The host looks which pages were used.
    Aging,
    /// Userspace makes memory private or shared.
    Attributes,
    /// Everything else.
    Other,
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With others who read.
    Read,
    /// Alone.
    Write,
}

/// Holds of one class in one mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many.
    pub holds: u64,
    /// How long they were together, in nanoseconds.
    pub total_ns: u64,
    /// How long the longest was.
    pub longest_ns: u64,
}

/// A class.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which one.
    pub class: Class,
    /// Its holds for read.
    pub read: Sum,
    /// And for write.
    pub write: Sum,
}

/// A function whose holds are of no class.
#[derive(Debug, PartialEq, Serialize)]
pub struct Unclassed {
    /// Its name.
    pub function: String,
    /// How many holds it began.
    pub holds: u64,
}

/// All that was seen.
#[derive(Debug, PartialEq, Serialize)]
pub struct Table {
    /// For how long somebody looked.
    pub seconds: f64,
    /// Classes with holds.
    pub classes: Vec<Row>,
    /// Where those of [`Class::Other`] come from, the most frequent first.
    pub other: Vec<Unclassed>,
    /// Events for which there was no room.
    pub events_lost: u64,
    /// Holds that are not in the table, because their begin or their end was not seen.
    pub incomplete: u64,
}
