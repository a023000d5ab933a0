// SPDX-License-Identifier: GPL-2.0

//! Safe types over KVM x86's memory management.
//!
//! Read [`lock`] and [`table`] first: who may change an entry, how long a table lives, and which
//! changes there are. Each room imports only from those above it in this list:
//!
//! - [`types`]: frames, levels, access rights, address spaces
//! - [`spte`]: page-table entries as values, and their memory
//! - [`memory`]: the VM, what the module keeps for it, and its memory slots
//! - [`lock`]: holds of `mmu_lock`, and the flushes owed before they end
//! - [`table`]: page tables, their entries, and what can be done with them
//! - [`roots`]: the list of roots
//! - [`gpc`]: pages of the guest that the kernel has mapped
//! - `xen`: what Xen guests share with their host
//! - [`fault`]: the vCPU and its page fault
//!
//! `trace` has KVM's tracepoints, and imports from none of them.

pub mod fault;
pub mod gpc;
pub mod lock;
pub mod memory;
pub mod roots;
pub mod spte;
pub mod table;
mod trace;
pub mod types;
#[cfg(CONFIG_KVM_XEN)]
pub mod xen;

pub use fault::{
    Counted,
    Current,
    HostFrame,
    Outcome,
    PageFault,
    Resolved,
    Snapshot,
    Vcpu, //
};
pub use lock::{
    Exclusive,
    Flush,
    Locked,
    Lockless,
    MmuLock,
    Mode,
    PagesLock,
    PendingFlush,
    Raced,
    Shared,
    Waiver, //
};
pub use memory::{
    host,
    log,
    Announced,
    AnySlots,
    AnyVm,
    Flushed,
    HostTables,
    MemSlot,
    SlotRange,
    SlotsHeld,
    SlotsLocked,
    Start,
    Vm,
    VmState, //
};
pub use roots::{
    Root,
    RootFilter, //
};
pub use spte::{
    LeafSpte,
    Spte, //
};
pub use table::{
    Change,
    Context,
    Entry,
    LeafBits,
    Role,
    ShadowPage,
    State,
    VmPage, //
};
pub use types::{
    Access,
    AddressSpace,
    Gfn,
    GfnRange,
    Level,
    NxHugePage, //
};
