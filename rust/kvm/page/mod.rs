// SPDX-License-Identifier: GPL-2.0

//! Page tables and their headers, from allocation to the RCU callback that frees them.
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

mod live;
mod new;
mod removed;

pub use live::{
    ShadowPage,
    Table, //
};
pub use new::{
    NewTable,
    SplitMemory,
    SplitTable,
    TableMemory, //
};
pub use removed::{
    RemovedTable,
    Taken, //
};
