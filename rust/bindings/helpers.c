// SPDX-License-Identifier: GPL-2.0
/*
 * C inlines and macros that the module needs, as functions for Rust.
 *
 * bindgen cannot see the inlines and macros of the kernel's headers, so each
 * one that is needed has a wrapper of one or two lines here and nothing more.
 * With CONFIG_RUST_INLINE_HELPERS this file is compiled to bitcode and
 * inlined into the Rust code, so that a wrapper costs what the macro costs in
 * C; without it the wrappers are ordinary calls.
 */

#include "bindings_helper.h"

#ifdef __BINDGEN__
/* bindgen ignores inline functions, and here it must see the prototypes. */
#define __kvmrs_helper
#else
/*
 * Not plain `inline`: clang and rustc disagree on a few target attributes,
 * which would otherwise keep LLVM from inlining one into the other.
 */
#define __kvmrs_helper __always_inline
#endif

/* mmu_lock, a rwlock_t, and giving way to others who want it or the CPU. */

__kvmrs_helper void kvmrs_mmu_read_lock(struct kvm *kvm)
{
	read_lock(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_read_unlock(struct kvm *kvm)
{
	read_unlock(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_write_lock(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_write_unlock(struct kvm *kvm)
{
	write_unlock(&kvm->mmu_lock);
}

/*
 * Contention first: it is one load, while the preemption model that decides
 * whether it counts is up to two calls.
 */
__kvmrs_helper bool kvmrs_mmu_lock_needbreak(struct kvm *kvm)
{
	return unlikely(rwlock_is_contended(&kvm->mmu_lock)) &&
	       rwlock_needbreak(&kvm->mmu_lock);
}

__kvmrs_helper bool kvmrs_mmu_cond_resched_read(struct kvm *kvm)
{
	return cond_resched_rwlock_read(&kvm->mmu_lock);
}

__kvmrs_helper bool kvmrs_mmu_cond_resched_write(struct kvm *kvm)
{
	return cond_resched_rwlock_write(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_assert_held(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_assert_held_read(struct kvm *kvm)
{
	lockdep_assert_held_read(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_assert_held_write(struct kvm *kvm)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
}

__kvmrs_helper bool kvmrs_need_resched(void)
{
	return need_resched();
}

__kvmrs_helper void kvmrs_cpu_relax(void)
{
	cpu_relax();
}

/* tdp_mmu_pages_lock: roots list and possible-NX-huge-page list. */

__kvmrs_helper void kvmrs_pages_lock_init(struct kvm *kvm)
{
	spin_lock_init(&kvm->arch.tdp_mmu_pages_lock);
}

__kvmrs_helper void kvmrs_pages_lock(struct kvm *kvm)
{
	spin_lock(&kvm->arch.tdp_mmu_pages_lock);
}

__kvmrs_helper void kvmrs_pages_unlock(struct kvm *kvm)
{
	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);
}

/* RCU and the lists that it protects. */

__kvmrs_helper void kvmrs_rcu_read_lock(void)
{
	rcu_read_lock();
}

__kvmrs_helper void kvmrs_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

__kvmrs_helper void kvmrs_rcu_assert_held(void)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "page tables without RCU");
}

__kvmrs_helper void kvmrs_list_init(struct list_head *list)
{
	INIT_LIST_HEAD(list);
}

__kvmrs_helper bool kvmrs_list_empty(const struct list_head *head)
{
	return list_empty(head);
}

__kvmrs_helper void kvmrs_list_add_rcu(struct list_head *new, struct list_head *head)
{
	list_add_rcu(new, head);
}

__kvmrs_helper void kvmrs_list_del_rcu(struct list_head *entry)
{
	list_del_rcu(entry);
}

__kvmrs_helper struct list_head *kvmrs_list_next_rcu(struct list_head *entry)
{
	return rcu_dereference_raw(list_next_rcu(entry));
}

/* Reference counts, of roots. */

__kvmrs_helper void kvmrs_refcount_set(refcount_t *ref, int n)
{
	refcount_set(ref, n);
}

__kvmrs_helper unsigned int kvmrs_refcount_read(const refcount_t *ref)
{
	return refcount_read(ref);
}

__kvmrs_helper bool kvmrs_refcount_inc_not_zero(refcount_t *ref)
{
	return refcount_inc_not_zero(ref);
}

__kvmrs_helper bool kvmrs_refcount_dec_and_test(refcount_t *ref)
{
	return refcount_dec_and_test(ref);
}

/* Page table entries: other CPUs and the hardware write to them too. */

__kvmrs_helper u64 kvmrs_spte_read(const u64 *sptep)
{
	return READ_ONCE(*sptep);
}

__kvmrs_helper void kvmrs_spte_write(u64 *sptep, u64 spte)
{
	WRITE_ONCE(*sptep, spte);
}

__kvmrs_helper u64 kvmrs_spte_xchg(u64 *sptep, u64 spte)
{
	return xchg(sptep, spte);
}

__kvmrs_helper bool kvmrs_spte_try_cmpxchg(u64 *sptep, u64 *old, u64 new)
{
	return try_cmpxchg64(sptep, old, new);
}

__kvmrs_helper u64 kvmrs_spte_fetch_and(u64 *sptep, u64 mask)
{
	return (u64)atomic64_fetch_and(mask, (atomic64_t *)sptep);
}

/* Page table pages: addresses, their struct kvm_mmu_page, allocation. */

__kvmrs_helper u64 kvmrs_pa(const void *va)
{
	return __pa(va);
}

__kvmrs_helper void *kvmrs_va(u64 pa)
{
	return __va(pa);
}

/* Works for a table and for any entry in it. */
__kvmrs_helper struct kvm_mmu_page *kvmrs_sp_of(const void *entry)
{
	return (struct kvm_mmu_page *)page_private(virt_to_page(entry));
}

__kvmrs_helper void kvmrs_set_sp_of(void *table, struct kvm_mmu_page *sp)
{
	set_page_private(virt_to_page(table), (unsigned long)sp);
}

/* NULL if @root is the dummy root. */
__kvmrs_helper struct kvm_mmu_page *kvmrs_root_to_sp(hpa_t root)
{
	return root_to_sp(root);
}

__kvmrs_helper struct kvm_mmu_page *kvmrs_spte_to_child_sp(u64 spte)
{
	return spte_to_child_sp(spte);
}

__kvmrs_helper u64 kvmrs_spte_base_addr_mask(void)
{
	return SPTE_BASE_ADDR_MASK;
}

__kvmrs_helper void *kvmrs_alloc_table(void)
{
	return (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
}

__kvmrs_helper void kvmrs_free_table(void *table)
{
	free_page((unsigned long)table);
}

__kvmrs_helper struct kvm_mmu_page *kvmrs_alloc_sp(void)
{
	return kmem_cache_zalloc(mmu_page_header_cache, GFP_KERNEL_ACCOUNT);
}

__kvmrs_helper void kvmrs_free_sp(struct kvm_mmu_page *sp)
{
	kmem_cache_free(mmu_page_header_cache, sp);
}

/* Statistics and accounting. */

__kvmrs_helper void kvmrs_update_page_stats(struct kvm *kvm, int level, int count)
{
	kvm_update_page_stats(kvm, level, count);
}

__kvmrs_helper void kvmrs_account_pgtable_pages(void *table, int nr)
{
	kvm_account_pgtable_pages(table, nr);
}

__kvmrs_helper void kvmrs_tdp_mmu_pages_add(struct kvm *kvm, int nr)
{
#ifdef CONFIG_KVM_PROVE_MMU
	atomic64_add(nr, &kvm->arch.tdp_mmu_pages);
#endif
}

__kvmrs_helper s64 kvmrs_tdp_mmu_pages_read(struct kvm *kvm)
{
#ifdef CONFIG_KVM_PROVE_MMU
	return atomic64_read(&kvm->arch.tdp_mmu_pages);
#else
	return 0;
#endif
}

/* The VM, its memory slots and its vCPUs. */

__kvmrs_helper bool kvmrs_is_nx_huge_page_enabled(struct kvm *kvm)
{
	return is_nx_huge_page_enabled(kvm);
}

__kvmrs_helper bool kvmrs_slot_dirty_track_enabled(const struct kvm_memory_slot *slot)
{
	return kvm_slot_dirty_track_enabled(slot);
}

__kvmrs_helper void kvmrs_slots_assert_held(struct kvm *kvm)
{
	lockdep_assert(srcu_read_lock_held(&kvm->srcu) ||
		       lockdep_is_held(&kvm->slots_lock));
}

__kvmrs_helper u64 kvmrs_vcpu_memslots_generation(struct kvm_vcpu *vcpu)
{
	return kvm_vcpu_memslots(vcpu)->generation;
}

__kvmrs_helper gfn_t kvmrs_mmu_max_gfn(void)
{
	return kvm_mmu_max_gfn();
}

__kvmrs_helper bool kvmrs_has_mirrored_tdp(const struct kvm *kvm)
{
	return kvm_has_mirrored_tdp(kvm);
}

__kvmrs_helper unsigned int kvmrs_vm_users(struct kvm *kvm)
{
	return refcount_read(&kvm->users_count);
}

/* Refuses further use of a VM whose state is wrong, warning once a VM. */
__kvmrs_helper bool kvmrs_bug_on(bool cond, struct kvm *kvm)
{
	return KVM_BUG_ON(cond, kvm);
}

/* Host MMIO: memory type and the CPU buffers to clear for guests that reach it. */

__kvmrs_helper bool kvmrs_pfn_is_reserved_page(kvm_pfn_t pfn)
{
	return !is_zero_pfn(pfn) && PageReserved(pfn_to_page(pfn));
}

__kvmrs_helper bool kvmrs_pfn_valid(kvm_pfn_t pfn)
{
	return pfn_valid(pfn);
}

__kvmrs_helper bool kvmrs_pfn_is_uncached(kvm_pfn_t pfn)
{
	return !pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn);
}

__kvmrs_helper bool kvmrs_pfn_is_ram(kvm_pfn_t pfn)
{
	return e820__mapped_raw_any(pfn_to_hpa(pfn), pfn_to_hpa(pfn + 1) - 1,
				    E820_TYPE_RAM);
}

/* False where the vendor's paging has no memory types, as AMD's has none. */
__kvmrs_helper bool kvmrs_has_mt_mask(void)
{
	return kvm_x86_ops.get_mt_mask;
}

__kvmrs_helper u8 kvmrs_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
	return kvm_x86_call(get_mt_mask)(vcpu, gfn, is_mmio);
}

__kvmrs_helper bool kvmrs_must_clear_cpu_buf_for_mmio(void)
{
	return cpu_feature_enabled(X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO);
}

__kvmrs_helper bool kvmrs_vcpu_can_access_host_mmio(struct kvm_vcpu *vcpu)
{
	return kvm_vcpu_can_access_host_mmio(vcpu);
}

/* Makes every vCPU leave the guest, and so clear the CPU's buffers. */
__kvmrs_helper void kvmrs_kick_all_vcpus_outside(struct kvm *kvm)
{
	kvm_make_all_cpus_request(kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
}
