// SPDX-License-Identifier: GPL-2.0

//! The VM and its memory slots.

mod any_vm;
#[path = "../../../../../rust/kvm/memory/changes.rs"]
mod changes;
#[path = "../../../../../rust/kvm/memory/flushed.rs"]
mod flushed;
mod gmem;
pub mod host;
#[path = "../../../../../rust/kvm/memory/invalidations.rs"]
mod invalidations;
#[path = "../../../../../rust/kvm/memory/log.rs"]
pub mod log;
mod memslot;
mod raw;
mod slots;
#[path = "../../../../../rust/kvm/memory/vm.rs"]
mod vm;

pub use any_vm::{AnySlots, AnyVm, HostTables};
pub use changes::Announced;
pub use flushed::Flushed;
pub use invalidations::{Invalidations, Start};
pub use memslot::{frames, MemSlot, SlotRange, SlotState};
pub use raw::{Counter, Setup, Stats, Vm};
pub use slots::{SlotsHeld, SlotsLocked};
