// SPDX-License-Identifier: GPL-2.0

//! What a VM's page tables look like from outside: the files `mmu_map` and `mmu_check`.
//!
//! Both work on VMs of the module and of C, and on VMs that run. A `Scan` goes through all trees
//! in steps. Each step is an RCU section of bounded length, and takes no lock; between the steps a
//! reader keeps no reference to anything, but where it stands. So what it shows of a VM that runs
//! was true of each entry at some moment, not of all at the same moment.
//!
//! `map` shows what it finds. `check` holds it against `rules`, and takes a second look at
//! what breaks one while the VM holds still.

mod check;
mod map;
mod rules;
mod run;
mod scan;
mod text;

pub use scan::Progress;
pub use text::Text;

use crate::kvm::AnyVm;
use check::Check;
use map::Map;
#[cfg(doc)]
use scan::Scan;

/// An open file: what it shows, and how far it has got.
pub struct Reader(Kind);

#[expect(clippy::large_enum_variant, reason = "there is one for each open file")]
enum Kind {
    Map(Map),
    Check(Check),
}

impl Reader {
    /// One of `mmu_map`.
    pub fn map() -> Self {
        Self(Kind::Map(Map::default()))
    }

    /// One of `mmu_check`.
    pub fn check() -> Self {
        Self(Kind::Check(Check::default()))
    }

    /// Writes the next lines, or none if that would take too long at once. `text` has room for four
    /// lines at least.
    pub fn read(&mut self, vm: &AnyVm, text: &mut Text<'_>) -> Progress {
        match &mut self.0 {
            Kind::Map(map) => map.read(vm, text),
            Kind::Check(check) => check.read(vm, text),
        }
    }
}
