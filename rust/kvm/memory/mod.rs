// SPDX-License-Identifier: GPL-2.0

//! The VM, what the module keeps for it, and its memory slots.

mod any_vm;
pub mod host;
mod invalidations;
mod memslot;
mod slots;
mod state;
mod vm;

pub use any_vm::{
    AnySlots,
    AnyVm, //
};
pub use invalidations::Invalidations;
pub(in crate::kvm) use memslot::raw_range;
pub use memslot::{
    MemSlot,
    SlotRange, //
};
pub use slots::{
    SlotsHeld,
    SlotsLocked, //
};
pub use state::VmState;
pub use vm::Vm;
