// SPDX-License-Identifier: GPL-2.0

//! Page tables and their entries, from allocation to the RCU callback that frees the table.
//!
//! A table's life is a chain of types, each of which can only become the next:
//!
//! ```text
//!   TableMemory ─▶ NewTable ──(link)───▶ live: Table, ShadowPage ──(unlink)──▶ RemovedTable ─▶ RCU
//!   SplitMemory ─▶ SplitTable ─(split)──▶
//! ```
//!
//! Until it is linked a table belongs to one owner, who may drop it, and a link that fails gives it
//! back. Once linked, everyone may reach it: there are only borrowed [`Table`]s and
//! [`ShadowPage`]s, bound to an RCU section. The one who unlinks it gets the [`RemovedTable`],
//! takes out what is left in it, and retires it: readers that still hold a reference keep it
//! allocated until they leave their RCU sections.
//!
//! An [`Entry`] is read from a live table in a [`Context`], and changed by its transitions.
//!
//! The model compiles all but `raw/`, and has tables of its own.

mod context;
mod enter;
mod entry;
mod new;
mod nx_list;
mod page;
mod raw;
mod removed;
mod role;
mod transitions;
mod view;
mod vm_page;

pub use context::{
    Context,
    Proof, //
};
pub use entry::{
    Absent,
    Change,
    Entry,
    EntrySnapshot,
    Leaf,
    LeafBits,
    Link,
    State, //
};
pub use new::{
    NewTable,
    SplitMemory,
    SplitTable, //
};
pub use page::Table;
pub use raw::{
    report,
    Role,
    ShadowPage,
    TableMemory, //
};
pub use removed::{
    RemovedTable,
    Taken, //
};
pub use transitions::{
    LinkError,
    TableRemoval,
    TransitionError, //
};
pub use view::TableView;
pub use vm_page::VmPage;
