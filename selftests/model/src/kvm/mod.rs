// SPDX-License-Identifier: GPL-2.0

//! The model's `rust/kvm`, room by room: the files that do not touch the kernel, and stand-ins for
//! the others.

pub mod fault;
pub mod gpc;
pub mod lock;
pub mod memory;
pub mod roots;
pub mod spte;
pub mod table;
#[path = "../../../../rust/kvm/types/mod.rs"]
pub mod types;
pub mod xen;

pub use fault::{Counted, Current, HostFrame, Outcome, PageFault, Resolved, Snapshot, Vcpu};
pub use lock::{
    Exclusive, Flush, Locked, Lockless, MmuLock, Mode, PagesLock, PendingFlush, Raced, Shared,
    Waiver,
};
pub use memory::{
    host, log, Announced, AnySlots, AnyVm, Flushed, HostTables, MemSlot, SlotRange, SlotsHeld,
    SlotsLocked, Start, Vm,
};
pub use roots::{Root, RootFilter};
pub use spte::{LeafSpte, Spte};
pub use table::{Change, Context, Entry, LeafBits, Role, ShadowPage, State, VmPage};
pub use types::{Access, AddressSpace, Gfn, GfnRange, Level, NxHugePage};
