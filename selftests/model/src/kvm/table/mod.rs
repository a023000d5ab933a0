// SPDX-License-Identifier: GPL-2.0

//! Page tables and their entries: the kernel's, over tables of the machine's arena.

#[path = "../../../../../rust/kvm/table/context.rs"]
mod context;
#[path = "../../../../../rust/kvm/table/enter.rs"]
mod enter;
#[path = "../../../../../rust/kvm/table/entry.rs"]
mod entry;
#[path = "../../../../../rust/kvm/table/new.rs"]
mod new;
#[path = "../../../../../rust/kvm/table/nx_list.rs"]
mod nx_list;
#[path = "../../../../../rust/kvm/table/page.rs"]
mod page;
mod raw;
#[path = "../../../../../rust/kvm/table/removed.rs"]
mod removed;
#[path = "../../../../../rust/kvm/table/role.rs"]
mod role;
#[path = "../../../../../rust/kvm/table/transitions.rs"]
mod transitions;
#[path = "../../../../../rust/kvm/table/view.rs"]
mod view;
#[path = "../../../../../rust/kvm/table/vm_page.rs"]
mod vm_page;

pub use context::{Context, Proof};
pub use entry::{Absent, Change, Entry, EntrySnapshot, Leaf, LeafBits, Link, State};
pub use new::{NewTable, SplitMemory, SplitTable};
pub use page::Table;
pub use raw::{report, Lie, Role, ShadowPage, TableMemory};
pub use removed::{RemovedTable, Taken};
pub use transitions::{LinkError, TableRemoval, TransitionError};
pub use view::TableView;
pub use vm_page::VmPage;
