// SPDX-License-Identifier: GPL-2.0

//! What a VM's operations led to. The kernel counts the rest, for the whole machine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something that shall not have been asked for in vain.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// KVM handled a page fault.
    Fault,
    /// The guest used an address while it was in no slot.
    NoSlot,
    /// KVM could not map a page that the host had taken rights from.
    Denied,
    /// A range went to another address and came back.
    Moved,
    /// Logging split a huge page of KVM's.
    Split,
    /// It became one again when logging ended.
    Recovered,
    /// KVM told the host that the guest had used a page.
    Used,
    /// A page was in the dirty log.
    Dirty,
}

const NAMES: [&str; 8] = [
    "page faults",
    "accesses without a slot",
    "accesses denied",
    "ranges moved",
    "huge pages split by logging",
    "huge pages recovered",
    "idle pages used",
    "dirty pages copied",
];

/// How often.
#[derive(Default)]
pub struct Seen([AtomicU64; NAMES.len()]);

impl Seen {
    /// It happened so often more.
    pub fn add(&self, effect: Effect, count: u64) {
        self.0[effect as usize].fetch_add(count, Relaxed);
    }

    /// What happened to a VM that is gone.
    pub fn add_all(&self, other: &Self) {
        for (mine, theirs) in self.0.iter().zip(&other.0) {
            mine.fetch_add(theirs.load(Relaxed), Relaxed);
        }
    }

    /// Whether everything has happened, which even a short run is for.
    pub fn is_enough(&self) -> bool {
        self.0.iter().all(|count| count.load(Relaxed) > 0)
    }

    /// By name.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.0.iter().map(|count| count.load(Relaxed));
        NAMES.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Seen};
    use Effect::{Denied, Dirty, Fault, Moved, NoSlot, Recovered, Split, Used};

    #[test]
    fn a_run_must_have_caused_all() {
        let all = [Fault, NoSlot, Denied, Moved, Split, Recovered, Used, Dirty];
        for missing in all {
            let seen = Seen::default();
            let others = all
                .iter()
                .filter(|effect| **effect as usize != missing as usize);
            others.for_each(|effect| seen.add(*effect, 1));
            assert!(!seen.is_enough(), "{missing:?}");
            seen.add(missing, 1);
            assert!(seen.is_enough());
        }
    }
}
