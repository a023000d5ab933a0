// SPDX-License-Identifier: GPL-2.0

//! C's list of roots and their counts of references, and what is done with them by one call. The model
//! has its own.

pub(super) mod count;
pub(super) mod list;
mod root;
