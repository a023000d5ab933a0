// SPDX-License-Identifier: GPL-2.0

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

__kvmrs_helper u64 kvmrs_spte_base_addr_mask(void)
{
	return SPTE_BASE_ADDR_MASK;
}

/* Bits of an entry's address that the CPU does not have, but for those that encrypt. */
__kvmrs_helper u64 kvmrs_spte_reserved_addr_mask(void)
{
	return ~GENMASK_ULL(kvm_host.maxphyaddr - 1, 0) & GENMASK_ULL(51, 0) &
	       ~shadow_me_value;
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

/* NULL if the list is empty. */
__kvmrs_helper struct kvm_mmu_page *kvmrs_first_on_nx_list(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->arch.tdp_mmu_pages_lock);

	return list_first_entry_or_null(&kvm->arch.possible_nx_huge_pages[KVM_TDP_MMU].pages,
					struct kvm_mmu_page, possible_nx_huge_page_link);
}
