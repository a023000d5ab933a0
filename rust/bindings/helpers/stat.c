// SPDX-License-Identifier: GPL-2.0

/* Statistics and accounting. */

__kvmrs_helper void kvmrs_update_page_stats(struct kvm *kvm, int level, int count)
{
	kvm_update_page_stats(kvm, level, count);
}

/* Negative if pages of the shadow MMU may be among them, or there is no number. */
__kvmrs_helper s64 kvmrs_tdp_page_stats(struct kvm *kvm, int level)
{
	if (level > KVM_NR_PAGE_SIZES || kvm_memslots_have_rmaps(kvm))
		return -1;

	return max(atomic64_read(&kvm->stat.pages[level - 1]), 0);
}

__kvmrs_helper void kvmrs_account_pgtable_pages(void *table, int nr)
{
	kvm_account_pgtable_pages(table, nr);
}

/* One table was made (@nr is 1), or freed (-1). */
__kvmrs_helper void kvmrs_tdp_mmu_pages_add(struct kvm *kvm, int nr)
{
	atomic64_inc(nr > 0 ? &kvm->stat.tdp_tables_made : &kvm->stat.tdp_tables_freed);
#ifdef CONFIG_KVM_PROVE_MMU
	atomic64_add(nr, &kvm->arch.tdp_mmu_pages);
#endif
}

/* Nobody can set these statistics back, so they tell how many tables there are. */
__kvmrs_helper s64 kvmrs_tdp_tables(struct kvm *kvm)
{
	return atomic64_read(&kvm->stat.tdp_tables_made) -
	       atomic64_read(&kvm->stat.tdp_tables_freed);
}

__kvmrs_helper void kvmrs_count_merged_flushes(struct kvm *kvm, u64 count)
{
	atomic64_add(count, &kvm->stat.tdp_flushes_merged);
}

/* Under mn_invalidate_lock. */
__kvmrs_helper void kvmrs_count_invalidation(struct kvm *kvm, bool elided)
{
	++kvm->stat.generic.mmu_notifier_invalidations;
	if (elided)
		++kvm->stat.generic.mmu_notifier_elided;
}
