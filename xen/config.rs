// SPDX-License-Identifier: GPL-2.0

//! What userspace may say about a VM that is to speak Xen.
//!
//! C counterpart: `kvm_xen_hvm_config()`.

/// Hypercalls come to KVM first.
pub(crate) const INTERCEPT_HCALL: u32 = 1 << 1;
/// KVM sends events itself.
pub(crate) const EVTCHN_SEND: u32 = 1 << 5;
/// The guest's Xen clocks do not say that the TSC is stable.
pub(crate) const PVCLOCK_TSC_UNSTABLE: u32 = 1 << 7;
/// All that userspace may ask for.
const PERMITTED: u32 = INTERCEPT_HCALL | EVTCHN_SEND | PVCLOCK_TSC_UNSTABLE;

/// MSRs that nobody makes.
pub(crate) const MSR_MIN: u32 = 0x4000_0000;
/// The last one of them.
pub(crate) const MSR_MAX: u32 = 0x4fff_ffff;

/// What userspace has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What KVM is to do.
    pub flags: u32,
    /// The MSR by which the guest asks for hypercall pages. 0 if there is none.
    pub msr: u32,
    /// Whether it has brought hypercall pages of its own.
    pub has_pages: bool,
}

/// Why it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl Config {
    /// Looks whether it can be done.
    pub fn check(&self) -> Result<(), Invalid> {
        let known = self.flags & !PERMITTED == 0;
        // With interception, KVM writes the page, by instructions that come to it.
        let one_page = self.flags & INTERCEPT_HCALL == 0 || !self.has_pages;
        let msr = self.msr == 0 || (MSR_MIN..=MSR_MAX).contains(&self.msr);
        (known && one_page && msr).then_some(()).ok_or(Invalid)
    }
}
