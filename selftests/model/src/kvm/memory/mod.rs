// SPDX-License-Identifier: GPL-2.0

//! The VM and its memory slots.

mod any_vm;
mod memslot;
mod slots;
mod vm;

pub use any_vm::{AnySlots, AnyVm};
pub use memslot::{MemSlot, SlotRange};
pub use slots::{SlotsHeld, SlotsLocked};
pub use vm::{Counter, Setup, Stats, Vm};
