// SPDX-License-Identifier: GPL-2.0

//! VMs, their memory and KVM's own figures, for the programs that run in the test machine.
//!
//! - [`vm`], [`vcpu`], [`guest`]: a VM, and programs for it to run
//! - [`memory`], [`idle`], [`userfault`]: the host's memory in a VM's slots, and what can happen to it
//! - [`gmem`]: memory that belongs to a VM alone
//! - [`ring`]: the pages that vCPUs have written to
//! - [`device`]: memory in frames of which the kernel keeps no account
//! - [`nodes`]: where the memory of a process is
//! - [`backend`], [`module`]: which TDP MMU a VM is on
//! - [`xen`], [`watch`]: pages of a guest's that the kernel writes to, and a guest that reads them
//! - [`xen_layout`], [`xen_calls`], [`xen_guest`], [`xen_attr`]: where things are in these pages, and a guest that calls Xen
//! - [`xen_ports`]: where what such a guest sends leads to
//! - [`debugfs`], [`stats`]: what KVM says about VMs
//! - [`inside`]: what a VM's page tables hold, and what is wrong with them
//! - [`probes`]: how often the kernel does something
//! - [`qemu`], [`qmp`]: a whole guest in QEMU, and what QEMU is told
//! - [`kernel_log`]: what the kernel warns about
//! - [`ioctls`]: calls of KVM's by number, for who makes wrong ones
//! - [`beside`], [`cpu`]: work of other threads, where threads run and before whom
//! - [`interrupt`]: threads that are interrupted in the kernel
//! - [`mark`]: marks in the stream of instructions
//! - [`sysfs`]: the files of the kernel's settings

pub mod backend;
pub mod beside;
pub mod cpu;
pub mod debugfs;
pub mod device;
pub mod gmem;
pub mod guest;
pub mod idle;
pub mod inside;
pub mod interrupt;
pub mod ioctls;
pub mod kernel_log;
pub mod mark;
pub mod memory;
pub mod module;
pub mod nodes;
pub mod probes;
pub mod qemu;
pub mod qmp;
pub mod ring;
pub mod stats;
pub mod sysfs;
pub mod userfault;
pub mod vcpu;
pub mod vm;
pub mod watch;
pub mod xen;
pub mod xen_attr;
pub mod xen_calls;
pub mod xen_guest;
pub mod xen_layout;
pub mod xen_ports;
