// SPDX-License-Identifier: GPL-2.0

//! The list of roots, and their counts of references.

pub(super) mod count;
pub(super) mod list;
mod root;
