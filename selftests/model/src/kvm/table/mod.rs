// SPDX-License-Identifier: GPL-2.0

//! Page tables and their entries. The chain of types that is a table's life is the kernel's.

#[path = "../../../../../rust/kvm/table/context.rs"]
mod context;
#[path = "../../../../../rust/kvm/table/enter.rs"]
mod enter;
#[path = "../../../../../rust/kvm/table/entry.rs"]
mod entry;
mod new;
mod page;
mod removed;
pub mod report;
mod role;
#[path = "../../../../../rust/kvm/table/transitions.rs"]
mod transitions;
#[path = "../../../../../rust/kvm/table/view.rs"]
mod view;
mod vm_page;

pub use context::{Context, Proof};
pub use entry::{Absent, Change, Entry, EntrySnapshot, Leaf, LeafBits, Link, State};
pub use new::{NewTable, SplitMemory, SplitTable, TableMemory};
pub use page::{Lie, ShadowPage, Table};
pub use removed::{RemovedTable, Taken};
pub use role::Role;
pub use transitions::{LinkError, TableRemoval, TransitionError};
pub use view::TableView;
pub use vm_page::VmPage;
