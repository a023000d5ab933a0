// SPDX-License-Identifier: GPL-2.0

//! RCU read-side sections, as something to borrow from.
//!
//! Page tables are freed by `call_rcu()`, so what was read from a live table may be followed for
//! as long as the section is open. References into tables borrow from a [`Rcu`] and so cannot
//! outlive it.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

pub use kernel::sync::rcu::{
    rcu_barrier,
    read_lock,
    Guard, //
};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Guard {}
    impl Sealed for super::CallerHolds {}
}

/// An open RCU read-side section: one of our own, or one that C's caller opened.
pub trait Rcu: sealed::Sealed {}

impl Rcu for Guard {}
impl Rcu for CallerHolds {}

/// An RCU read-side section that C's caller opened and will close.
///
/// # Invariants
///
/// The section is open for as long as the value exists.
pub struct CallerHolds(kernel::types::NotThreadSafe);

impl CallerHolds {
    /// Takes note of the caller's section. Lockdep checks it.
    ///
    /// # Safety
    ///
    /// The current task must be in an RCU read-side section that does not end before the value is
    /// gone.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        // SAFETY: No requirements.
        unsafe { kvm_bindings::kvmrs_rcu_assert_held() };
        // INVARIANT: The section does not end before the value is gone.
        Self(kernel::types::NotThreadSafe)
    }
}
