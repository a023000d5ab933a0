// SPDX-License-Identifier: GPL-2.0

//! Linux as a PV guest of Xen's PV shim: KVM's interface is that Xen's, and Linux has Xen's own.

use super::calls::Calls;
use super::start;
use anyhow::{ensure, Result};

const FILES: [&str; 3] = ["/guest/xen-shim", "/guest/vmlinuz", "/guest/initrd"];
/// Xen takes the first module for its guest's kernel, the second one for the initramfs of that.
const QEMU: &str = "-chardev stdio,id=c -device xen-console,chardev=c
    -kernel /tmp/xen-shim -initrd /tmp/vmlinuz,/tmp/initrd -append";
/// Xen's words, and Linux's.
const CMDLINE: &str = "pv-shim console=xen,pv -- console=hvc0 quiet panic=-1 guest=PV";

/// What that Xen says starts with this.
const XEN: &str = "(XEN) ";
/// The clock that KVM keeps for Xen guests, as that Xen calls it.
const CLOCK: &str = "XEN PV CLOCK";

/// The command `xen-shim`.
pub fn run() -> Result<()> {
    let calls = Calls::watch()?;
    let mut guest = start(&FILES, QEMU, CMDLINE)?;
    let clock = guest.until(XEN, "Platform timer is ")?;
    guest.until_it_says("Using 2-level ABI")?;
    guest.until_it_says("done")?;
    guest.until_it_ends()?;
    println!("# Xen itself has the clock {clock}");
    ensure!(clock.ends_with(CLOCK), "that is not KVM's");
    calls.show()
}
