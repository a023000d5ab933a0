// SPDX-License-Identifier: GPL-2.0

//! Kernel modules, above all the one that is the Rust backend.

use crate::sysfs;
use anyhow::{Context, Result};
use rustix::fs::OFlags;
use rustix::system::{delete_module, finit_module};
use std::ffi::CString;
use std::fs::File;
use std::io;

/// The name of the Rust backend's module.
pub const NAME: &str = "kvm_rs";

/// Loads the module in a file; the error is the kernel's, with the file's name.
pub fn load(path: &str, params: &str) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {path}"))?;
    finit_module(&file, &CString::new(params)?, 0).with_context(|| format!("loading {path}"))
}

/// Unloads a module; fails at once while somebody uses it.
pub fn unload(name: &str) -> io::Result<()> {
    delete_module(&CString::new(name)?, OFlags::NONBLOCK.bits() as i32)?;
    Ok(())
}

/// How many users a module has.
pub fn references(name: &str) -> Result<u64> {
    sysfs::number(&format!("/sys/module/{name}/refcnt"))
}
