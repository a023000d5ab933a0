// SPDX-License-Identifier: GPL-2.0

//! The workaround for CPUs on which a guest's huge executable page can stop the machine.

#![forbid(unsafe_code)]

/// Whether the workaround allows a huge page, where a table takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NxHugePage {
    /// It has nothing against one.
    Allowed,
    /// It forbids one, which would have to be executable (`nx_huge_page_disallowed`).
    Disallowed,
}
