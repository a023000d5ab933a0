// SPDX-License-Identifier: GPL-2.0

//! Runs of entries that map in the same way, as lines of `mmu_map`.

use super::scan::Found;
use crate::kvm::{
    spte::{masks, READABLE},
    AnyVm,
    Gfn,
    Level,
    Spte, //
};
use core::fmt;

/// What an entry is, as far as the map shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Absent,
    Mmio(Level),
    Frozen(Level),
    Leaf(Level, Bits),
}

/// Frames without a gap between them that entries of one kind span.
pub(super) struct Run {
    kind: Kind,
    first: Gfn,
    end: Gfn,
    entries: u64,
}

impl Run {
    /// The run of `found` alone.
    pub(super) fn of(vm: &AnyVm, found: &Found<'_>) -> Self {
        Self {
            kind: Kind::of(vm, found),
            first: found.gfn,
            end: found.gfn.add(found.level.pages()),
            entries: 1,
        }
    }

    /// Adds `next`, if it goes on where this run ends, and is of the same kind.
    pub(super) fn join(&mut self, next: &Self) -> bool {
        let joins = self.kind == next.kind && self.end == next.first;
        if joins {
            self.end = next.end;
            self.entries += next.entries;
        }
        joins
    }
}

impl Kind {
    fn of(vm: &AnyVm, found: &Found<'_>) -> Self {
        let (spte, level) = (found.spte, found.level);
        if spte.is_present() {
            Self::Leaf(level, Bits::of(spte))
        } else if spte.is_frozen() {
            Self::Frozen(level)
        } else if vm.is_mmio_spte(spte) {
            Self::Mmio(level)
        } else {
            Self::Absent
        }
    }
}

/// The bits of a leaf that the map shows, in the order of [`NAMES`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Bits([bool; 7]);

const NAMES: [char; 7] = ['R', 'W', 'X', 'A', 'D', 'M', 'H'];

impl Bits {
    fn of(spte: Spte) -> Self {
        let executable = if masks::nx() != 0 {
            !spte.has(masks::nx())
        } else {
            spte.has(masks::exec() | masks::user_exec())
        };
        Self([
            spte.has(READABLE),
            spte.is_writable(),
            executable,
            spte.is_accessed(),
            spte.has(masks::dirty()),
            spte.is_mmu_writable(),
            spte.has(masks::host_writable()),
        ])
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, set) in NAMES.into_iter().zip(self.0) {
            fmt::Write::write_char(f, if set { name } else { '-' })?;
        }
        Ok(())
    }
}

/// The size of what an entry of a level spans.
pub(super) struct Size(pub Level);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.raw() {
            1 => "4K",
            2 => "2M",
            3 => "1G",
            4 => "512G",
            _ => "256T",
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first.raw(), self.end.prev().raw());
        write!(f, "  {first:#x}-{last:#x} ")?;
        let entries = self.entries;
        match self.kind {
            Kind::Absent => f.write_str("absent"),
            Kind::Mmio(level) => write!(f, "{} {entries} mmio", Size(level)),
            Kind::Frozen(level) => write!(f, "{} {entries} frozen", Size(level)),
            Kind::Leaf(level, bits) => write!(f, "{} {entries} {bits}", Size(level)),
        }
    }
}
