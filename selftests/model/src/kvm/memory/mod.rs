// SPDX-License-Identifier: GPL-2.0

//! The VM and its memory slots.

mod any_vm;
pub mod host;
#[path = "../../../../../rust/kvm/memory/invalidations.rs"]
mod invalidations;
mod memslot;
mod slots;
mod vm;

pub use any_vm::{AnySlots, AnyVm};
pub use invalidations::Invalidations;
pub use memslot::{MemSlot, SlotRange};
pub use slots::{SlotsHeld, SlotsLocked};
pub use vm::{Counter, Setup, Stats, Vm};
