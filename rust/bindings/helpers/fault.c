// SPDX-License-Identifier: GPL-2.0

/* Page faults, and the pages that are looked up for them. */

__kvmrs_helper bool kvmrs_is_guest_mode(struct kvm_vcpu *vcpu)
{
	return is_guest_mode(vcpu);
}

__kvmrs_helper bool kvmrs_is_error_noslot_pfn(kvm_pfn_t pfn)
{
	return is_error_noslot_pfn(pfn);
}

__kvmrs_helper void kvmrs_prepare_memory_fault_exit(struct kvm_vcpu *vcpu,
						    struct kvm_page_fault *fault)
{
	kvm_mmu_prepare_memory_fault_exit(vcpu, fault);
}

/* Whether @page, to which there is a reference, is of a folio too small to be mapped as a huge page. */
__kvmrs_helper bool kvmrs_page_is_small(struct page *page)
{
	return folio_order(page_folio(page)) < PMD_ORDER;
}

/* @page may be NULL. */
__kvmrs_helper void kvmrs_release_page_unused(struct page *page)
{
	kvm_release_page_unused(page);
}

/* @page may be NULL. Marks it as used, hence under mmu_lock. */
__kvmrs_helper void kvmrs_release_page_mapped(struct kvm *kvm, struct page *page, bool writable)
{
	kvm_release_faultin_page(kvm, page, false, writable);
}
