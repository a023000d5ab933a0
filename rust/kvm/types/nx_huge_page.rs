// SPDX-License-Identifier: GPL-2.0

//! The workaround for CPUs on which a guest's huge executable page can stop the machine.

/// Whether the workaround allows a huge page, where a table would be linked or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NxHugePage {
    /// As far as it goes, yes.
    Allowed,
    /// No: it would have to be executable (`nx_huge_page_disallowed`).
    Disallowed,
}
