// SPDX-License-Identifier: GPL-2.0

//! The clocks of a guest and its host.

/// One moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the host's clock.
    pub host: u64,
    /// On the guest's TSC.
    pub tsc: u64,
}
