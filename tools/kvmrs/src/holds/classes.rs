// SPDX-License-Identifier: GPL-2.0

//! What for a function takes `mmu_lock`, by its name.

use super::lines::Caller;
use super::Class;
use rustc_demangle::try_demangle;

/// Who takes a lock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taker {
    /// Somebody who takes `mmu_lock` for this.
    For(Class),
    /// Somebody who takes it again after a pause, for what it was taken before.
    Again,
    /// Somebody who takes another lock.
    OfOther,
}

/// KVM's functions in C.
const C: [(Class, &[&str]); 8] = [
    (
        Class::Faults,
        &[
            "kvm_tdp_page_fault",
            "kvm_tdp_mmu_page_fault",
            "direct_page_fault",
            "ept_page_fault",
            "paging32_page_fault",
            "paging64_page_fault",
            "kvm_mmu_fault_wait_read_lock",
            "kvm_mmu_fault_wait_write_lock",
            "kvm_mmu_fault_write_lock",
            "kvm_tdp_mmu_map_private_pfn",
            "__kvm_mmu_unprotect_gfn_and_retry",
        ],
    ),
    (
        Class::Invalidations,
        &[
            "kvm_mmu_notifier_invalidate_range_start",
            "kvm_mmu_notifier_invalidate_range_end",
            "kvm_handle_hva_range",
            "kvm_gmem_error_folio",
            "kvm_gmem_release",
            "kvm_gmem_fallocate",
            "kvm_gmem_invalidate_start",
            "kvm_gmem_invalidate_end",
            "__kvm_gmem_invalidate_start",
            "__kvm_gmem_invalidate_end",
        ],
    ),
    (
        Class::DirtyLogs,
        &[
            "kvm_vm_ioctl_get_dirty_log",
            "kvm_vm_ioctl_clear_dirty_log",
            "kvm_get_dirty_log_protect",
            "kvm_clear_dirty_log_protect",
            "kvm_reset_dirty_gfn",
            "kvm_mmu_slot_remove_write_access",
            "kvm_mmu_slot_leaf_clear_dirty",
            "kvm_mmu_slot_try_split_huge_pages",
            "kvm_mmu_try_split_huge_pages",
            "kvm_shadow_mmu_try_split_huge_pages",
            "kvm_tdp_mmu_try_split_huge_pages",
            "kvm_mmu_recover_huge_pages",
        ],
    ),
    (
        Class::Memslots,
        &[
            "kvm_arch_flush_shadow_memslot",
            "kvm_arch_flush_shadow_all",
            "kvm_mmu_zap_all",
            "kvm_mmu_zap_all_fast",
            "kvm_mmu_zap_memslot",
            "kvm_mmu_change_mmu_pages",
        ],
    ),
    (
        Class::Roots,
        &[
            "kvm_mmu_load",
            "kvm_mmu_destroy",
            "kvm_mmu_free_roots",
            "kvm_mmu_sync_roots",
            "kvm_tdp_mmu_alloc_root",
            "kvm_tdp_mmu_zap_invalidated_roots",
            "mmu_alloc_direct_roots",
            "mmu_alloc_shadow_roots",
        ],
    ),
    (
        Class::NxRecovery,
        &[
            "kvm_nx_huge_page_recovery_worker",
            "kvm_recover_nx_huge_pages",
        ],
    ),
    (
        Class::Aging,
        &[
            "kvm_mmu_notifier_clear_flush_young",
            "kvm_mmu_notifier_clear_young",
            "kvm_mmu_notifier_test_young",
            "kvm_age_gfn",
            "kvm_test_age_gfn",
        ],
    ),
    (
        Class::Attributes,
        &[
            "kvm_vm_ioctl_set_mem_attributes",
            "kvm_vm_set_mem_attributes",
            "kvm_handle_gfn_range",
        ],
    ),
];

/// Parts of the names of functions in Rust. What a function is generic over is in its name, too.
const RUST: [(&str, Class); 9] = [
    ("::fault::", Class::Faults),
    ("::notifier::", Class::Invalidations),
    ("::harvest::", Class::DirtyLogs),
    ("::split::", Class::DirtyLogs),
    ("::slots::try_split", Class::DirtyLogs),
    ("::recover::", Class::DirtyLogs),
    ("::nx::", Class::NxRecovery),
    ("::age::", Class::Aging),
    ("::roots::", Class::Roots),
];

/// Those in Rust that drop the lock and take it again, whatever it is held for.
const RUST_AGAIN: [&str; 4] = ["::zap::", "::walk::", "::each_root::", "::mmu_lock::"];

/// The kernel's functions that do so.
const AGAIN: [&str; 2] = ["__cond_resched_rwlock_read", "__cond_resched_rwlock_write"];

/// KVM takes other rwlocks in these: those of a vCPU's task, and of pfn caches.
const OTHER_LOCKS: [&str; 6] = [
    "vcpu_get_pid",
    "kvm_vcpu_yield_to",
    "kvm_vcpu_on_spin",
    "kvm_vcpu_ioctl",
    "kvm_xen_",
    "kvm_gpc_",
];

/// What for it takes a lock.
pub fn of(caller: &Caller<'_>) -> Taker {
    let of_kvm = caller.module.is_some_and(|name| name.starts_with("kvm"));
    let name = readable(caller.function);
    let known = if name.contains("::") {
        of_rust(&name)
    } else {
        of_c(&name)
    };
    match known {
        Some(taker) => taker,
        None if of_kvm => Taker::For(Class::Other),
        None => Taker::OfOther,
    }
}

fn of_c(name: &str) -> Option<Taker> {
    if AGAIN.contains(&name) {
        return Some(Taker::Again);
    }
    if OTHER_LOCKS.iter().any(|begin| name.starts_with(begin)) {
        return Some(Taker::OfOther);
    }
    let (class, _) = C.iter().find(|(_, names)| names.contains(&name))?;
    Some(Taker::For(*class))
}

fn of_rust(name: &str) -> Option<Taker> {
    let found = RUST.iter().find(|(part, _)| name.contains(part));
    let again = || RUST_AGAIN.iter().any(|part| name.contains(part));
    match found {
        Some((_, class)) => Some(Taker::For(*class)),
        None => again().then_some(Taker::Again),
    }
}

/// The name as it is in the source, without what compilers add.
pub fn readable(symbol: &str) -> String {
    match try_demangle(symbol) {
        Ok(name) => format!("{name:#}"),
        Err(_) => symbol.split('.').next().unwrap_or(symbol).into(),
    }
}
