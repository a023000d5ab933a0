// SPDX-License-Identifier: GPL-2.0

//! The model's `rust/kvm`: the files that do not touch the kernel, and stand-ins for the others.

pub mod cell;
#[path = "../../../../rust/kvm/entry/mod.rs"]
pub mod entry;
pub mod fault;
#[path = "../../../../rust/kvm/flush.rs"]
pub mod flush;
pub mod lock;
pub mod masks;
pub mod memslot;
#[path = "../../../../rust/kvm/mode.rs"]
pub mod mode;
pub mod page;
pub mod removed;
pub mod report;
pub mod role;
pub mod root;
#[path = "../../../../rust/kvm/spte.rs"]
pub mod spte;
#[path = "../../../../rust/kvm/types.rs"]
pub mod types;
pub mod vcpu;
pub mod vm;
#[path = "../../../../rust/kvm/which.rs"]
pub mod which;

pub use entry::{Change, Context, Entry, LeafBits, State};
pub use fault::{Outcome, PageFault};
pub use flush::{Flush, PendingFlush, Waiver};
pub use lock::{MmuLock, PagesLock};
pub use memslot::{MemSlot, SlotRange, SlotsHeld};
pub use mode::{Exclusive, Locked, Lockless, Mode, Shared};
pub use page::ShadowPage;
pub use role::Role;
pub use root::Root;
pub use spte::{LeafSpte, Spte};
pub use types::{Gfn, GfnRange, Level};
pub use vcpu::{HostFrame, Vcpu};
pub use vm::Vm;
pub use which::Which;
