// SPDX-License-Identifier: GPL-2.0

//! The entry points that kvm.ko calls, one for each hook.
//!
//! Each turns raw pointers into safe values, once, and states by its types which locks its caller
//! holds. The caller is the code of `arch/x86/kvm/mmu/tdp_dispatch.h` and `vm_backend.c`, so the rules
//! are those of the C function that the hook replaces (`arch/x86/kvm/mmu/tdp_mmu.h`); lockdep
//! checks locks where it is switched on.
//!
//! Facts that hold for every hook, and that the `SAFETY` comments below rest on:
//!
//! - *Live VM*: `kvm` uses this backend, and its hook `create` has returned while `destroy` was not
//!   called yet ([`vm`] has the two exceptions).
//! - *Current vCPU*: `vcpu` belongs to a live VM and is loaded by the current task.
//! - *Any VM*: `kvm` is alive, on this backend or on C, and has a TDP MMU without mirror roots.
//! - *Held slots*: where a slot is an argument, it was found under `kvm->srcu` or `slots_lock`, and
//!   the current task still holds that.

pub(super) mod debugfs;
pub(super) mod fault;
pub(super) mod gpc;
pub(super) mod notifier;
pub(super) mod ranges;
pub(super) mod roots;
pub(super) mod slots;
pub(super) mod vm;
#[cfg(CONFIG_KVM_XEN)]
pub(super) mod xen;
