// SPDX-License-Identifier: GPL-2.0

//! The pfn cache: the kernel's access to a page of the guest's, by the guest's address or the host's.
//!
//! KVM writes the guest's clock, the steal time and Xen's pages by way of such caches, at each entry of
//! the guest and in interrupts. So a cache keeps the page mapped without a reference to it, and the
//! mmu_notifier takes it away.
//!
//! | state | may be pinned | from it leads | to |
//! |---|---|---|---|
//! | inactive ([`Inactive`]) | no | `activate` | active, not valid |
//! | active, not valid ([`Active`]) | no | `move_to` | looking |
//! | | | `deactivate` | inactive |
//! | looking ([`Closed`], [`Found`]) | no | `look_up` | looking, with a page |
//! | | | `commit` | valid |
//! | | | the notifier | not valid: `commit` fails, and `look_up` begins anew |
//! | | | an error | active, not valid |
//! | valid ([`Active`]) | yes | `move_to` within the page | looking, with the page that it has |
//! | | | `move_to` | looking |
//! | | | the notifier ([`Announced`]) | active, not valid |
//! | | | `deactivate` | inactive |
//!
//! Each step is a function of `rust/kvm/gpc/state.rs`, and consumes its state. All but the notifier's are
//! taken with `refresh_lock` held. Readers take no lock: they [pin](crate::kvm::gpc::GuestPage::pin) the page, which
//! succeeds at once or not at all. Who leaves a state that may be pinned waits for all pins.
//!
//! C counterpart: `virt/kvm/pfncache.c`.
//!
//! [`Active`]: crate::kvm::gpc::Active
//! [`Announced`]: crate::kvm::Announced
//! [`Closed`]: crate::kvm::gpc::Closed
//! [`Found`]: crate::kvm::gpc::Found
//! [`Inactive`]: crate::kvm::gpc::Inactive

#![forbid(unsafe_code)]
#![deny(unused_must_use)]

pub mod pvclock;
pub mod refresh;
