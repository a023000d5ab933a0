// SPDX-License-Identifier: GPL-2.0

//! Xen's interface to its guests.
//!
//! The guest and its host share pages, which both use at the same time. What the guest says there, or by a call,
//! is an allegation until it was looked at.
//!
//! C counterpart: `arch/x86/kvm/xen.c`.

#![forbid(unsafe_code)]
#![deny(unused_must_use)]

pub mod answer;
pub mod area;
pub mod claim;
pub mod config;
pub mod deadline;
pub mod evtchn;
pub mod hypercall;
pub mod page;
pub mod poll;
pub mod ports;
pub mod runstate;
pub mod timer;
pub mod times;
pub mod wallclock;
