// SPDX-License-Identifier: GPL-2.0

//! The two nodes of a machine that was booted with numa=fake=2.

use anyhow::{ensure, Result};
use std::io::Error;

/// A node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// The first.
    Zero,
    /// The second.
    One,
}

impl Node {
    /// Which one it is not.
    pub fn other(self) -> Self {
        match self {
            Self::Zero => Self::One,
            Self::One => Self::Zero,
        }
    }

    fn mask(self) -> u64 {
        1 << self as u64
    }
}

/// Moves all memory that process `pid` has on the other node to `node`. Pages that are held just now, or
/// have no room there, stay where they are.
pub fn move_process(pid: u32, node: Node) -> Result<()> {
    let (from, to) = (node.other().mask(), node.mask());
    // SAFETY: both sets have 64 bits, of which the kernel reads one less than the number given. The
    // content of what is moved stays.
    let failed = unsafe { libc::syscall(libc::SYS_migrate_pages, pid, 64, &from, &to) };
    ensure!(failed >= 0, "migrate_pages: {}", Error::last_os_error());
    Ok(())
}
