// SPDX-License-Identifier: GPL-2.0

//! KVM's figures of a VM, and what `kvmrs top` makes of them.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// All figures at one moment, by the names of KVM.
pub type Figures = BTreeMap<String, i64>;

/// A column of `kvmrs top`.
pub struct Column {
    /// Its title; per second if it is a [`Kind::Rate`].
    pub title: &'static str,
    /// The figures that are added up; those that KVM lacks count as nothing.
    names: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// How much there is now.
    Level,
    /// Events, as many a second.
    Rate,
    /// Nanoseconds; milliseconds a second.
    Time,
    /// Nanoseconds at most, shown as microseconds.
    Worst,
}

/// All columns, from left to right.
pub const COLUMNS: [Column; 9] = [
    column("4K", &["pages_4k"], Kind::Level),
    column("2M", &["pages_2m"], Kind::Level),
    column("1G", &["pages_1g"], Kind::Level),
    column("faults/s", &["pf_taken"], Kind::Rate),
    column("retries/s", RETRIES, Kind::Rate),
    column("flushes/s", &["remote_tlb_flush"], Kind::Rate),
    column("dirty/s", &["pages_dirtied"], Kind::Rate),
    column("wait ms/s", &["mmu_lock_wait_ns"], Kind::Time),
    column("worst us", &["mmu_lock_wait_max_ns"], Kind::Worst),
];

const RETRIES: &[&str] = &[
    "pf_retry_invalidated",
    "pf_retry_obsolete",
    "pf_retry_memslot",
    "pf_retry_raced",
];

const fn column(title: &'static str, names: &'static [&'static str], kind: Kind) -> Column {
    Column { title, names, kind }
}

/// A VM in `kvmrs top`.
#[derive(Serialize)]
pub struct Row {
    /// The VM's name.
    pub vm: String,
    /// What runs it.
    pub program: Option<String>,
    /// The figures now.
    pub figures: Figures,
    /// How much they grew a second since the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<BTreeMap<String, f64>>,
}

impl Row {
    /// Of a VM whose figures were `before` so long ago. A figure that was not there before
    /// counts as 0, and so do all those of a new VM. Without an earlier look there is no rate.
    pub fn of(
        vm: String,
        program: Option<String>,
        figures: Figures,
        before: Option<(Option<&Figures>, Duration)>,
    ) -> Self {
        let per_second = before.map(|(before, time)| {
            let seconds = time.as_secs_f64().max(f64::MIN_POSITIVE);
            let grown = |(name, value): (&String, &i64)| {
                let old = before.and_then(|before| before.get(name)).unwrap_or(&0);
                (name.clone(), value.wrapping_sub(*old) as f64 / seconds)
            };
            figures.iter().map(grown).collect()
        });
        Self {
            vm,
            program,
            figures,
            per_second,
        }
    }

    /// The text for a column; `-` if KVM does not count it. Without a rate, what grows is
    /// shown since the VM began.
    pub fn cell(&self, column: &Column) -> String {
        let now = column.sum(|name| self.figures.get(name).map(|value| *value as f64));
        let rates = self.per_second.as_ref();
        let rate = rates.map(|rates| column.sum(|name| rates.get(name).copied()));
        let value = match column.kind {
            Kind::Level => now,
            Kind::Worst => now.map(|value| value / 1e3),
            Kind::Rate => rate.unwrap_or(now),
            Kind::Time => rate.unwrap_or(now).map(|value| value / 1e6),
        };
        match value {
            None => "-".into(),
            Some(value) if column.kind == Kind::Time => format!("{value:.1}"),
            Some(value) => format!("{value:.0}"),
        }
    }
}

impl Column {
    /// The title if the figures are those since the VM began.
    pub fn title_of_total(&self) -> &'static str {
        self.title.strip_suffix("/s").unwrap_or(self.title)
    }

    /// None if there is none of the figures.
    fn sum(&self, value: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.names.iter().filter_map(|name| value(name)).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}
