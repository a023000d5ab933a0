// SPDX-License-Identifier: GPL-2.0

//! The VM, what the module keeps for it, and its memory slots.
//!
//! The model compiles `changes.rs`, `flushed.rs`, `invalidations.rs`, `log.rs` and `vm.rs`, and has VMs and slots
//! of its own.

mod any_vm;
mod changes;
mod flushed;
mod gmem;
pub mod host;
mod host_tables;
mod invalidations;
pub mod log;
mod memslot;
mod raw;
mod slots;
mod state;
mod vm;

pub use any_vm::{
    AnySlots,
    AnyVm, //
};
pub use changes::Announced;
pub use flushed::Flushed;
pub use host_tables::HostTables;
pub use invalidations::{
    Invalidations,
    Start, //
};
pub(in crate::kvm) use memslot::{
    raw_range,
    ShadowWalk, //
};
pub use memslot::{
    MemSlot,
    SlotRange, //
};
pub use raw::Vm;
pub use slots::{
    SlotsHeld,
    SlotsLocked, //
};
pub use state::VmState;
