// SPDX-License-Identifier: GPL-2.0

//! What a walk needs to look at entries: proofs that tables stay and of who else may change them.

#![forbid(unsafe_code)]

use super::raw::Role;
use crate::kvm::{
    lock::{Locked, Lockless, MmuLock, Mode},
    memory::Vm,
    types::GfnRange, //
};
use core::marker::PhantomData;

mod sealed {
    use crate::kvm::{
        lock::{Locked, MmuLock},
        memory::Vm, //
    };

    pub trait Sealed {}
    impl<M: Locked> Sealed for MmuLock<'_, M> {}
    impl Sealed for Vm {}
}

/// What proves that a walk may go by a [`Mode`].
pub trait Proof: sealed::Sealed {
    /// The mode.
    type Mode: Mode;

    /// The VM that the proof is about.
    fn vm(&self) -> &Vm;
}

impl<M: Locked> Proof for MmuLock<'_, M> {
    type Mode = M;

    #[inline(always)]
    fn vm(&self) -> &Vm {
        MmuLock::vm(self)
    }
}

/// Without the lock there is nothing to prove but that the VM is alive.
impl Proof for Vm {
    type Mode = Lockless;

    #[inline(always)]
    fn vm(&self) -> &Vm {
        self
    }
}

/// What all entries of one walk have in common.
///
/// # Invariants
///
/// For `'r` an RCU read-side section is open, and `mmu_lock` of `vm` is held as `M` says. `role` is
/// that of the table that the walk has entered.
pub struct Context<'r, M: Mode> {
    pub(super) vm: &'r Vm,
    pub(super) role: Role,
    pub(super) _mode: PhantomData<&'r M>,
}

impl<'r, M: Mode> Context<'r, M> {
    /// The VM.
    #[inline(always)]
    pub fn vm(&self) -> &'r Vm {
        self.vm
    }

    /// The role of the root, or of the table that was entered; those of the tables below differ in the
    /// level alone.
    #[inline(always)]
    pub fn role(&self) -> Role {
        self.role
    }
}

impl<M: Locked> Context<'_, M> {
    /// Whether a notifier is taking away memory of `range`: between the start and the end of an
    /// invalidation nothing may be mapped there.
    #[inline]
    pub fn is_invalidating(&self, range: GfnRange) -> bool {
        self.vm.is_invalidating(range)
    }
}

impl<M: Mode> Clone for Context<'_, M> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Mode> Copy for Context<'_, M> {}
