// SPDX-License-Identifier: GPL-2.0

//! Safe types over KVM x86's memory management.
//!
//! Read [`lock`], [`page`] and [`entry`] first: who may change an entry, how long a table lives,
//! and which changes there are.

pub mod cell;
pub mod entry;
pub mod fault;
pub mod flush;
pub mod lock;
pub mod masks;
pub mod memslot;
pub mod mode;
pub mod page;
pub mod report;
pub mod role;
pub mod root;
pub mod spte;
pub mod trace;
pub mod types;
pub mod vcpu;
pub mod vm;
pub mod which;

pub use entry::{
    Change,
    Context,
    Entry,
    LeafBits,
    State, //
};
pub use fault::{
    Outcome,
    PageFault, //
};
pub use flush::{
    Flush,
    PendingFlush,
    Waiver, //
};
pub use lock::{
    MmuLock,
    PagesLock, //
};
pub use memslot::{
    MemSlot,
    SlotRange,
    SlotsHeld, //
};
pub use mode::{
    Exclusive,
    Locked,
    Lockless,
    Mode,
    Shared, //
};
pub use page::ShadowPage;
pub use role::Role;
pub use root::Root;
pub use spte::{
    LeafSpte,
    Spte, //
};
pub use types::{
    Gfn,
    GfnRange,
    Level, //
};
pub use vcpu::{
    HostFrame,
    Vcpu, //
};
pub use vm::Vm;
pub use which::Which;
