// SPDX-License-Identifier: GPL-2.0

static void __used vcpu_layout(void)
{
	SIZE(kvm_vcpu);
	OFFSET(kvm_vcpu, kvm);
	OFFSET(kvm_vcpu, arch);
	OFFSET(kvm_vcpu, stat);

	SIZE(kvm_vcpu_arch);
	OFFSET(kvm_vcpu_arch, mmu);
	OFFSET(kvm_vcpu_arch, mmu_shadow_page_cache);
	OFFSET(kvm_vcpu_arch, mmu_page_header_cache);
	OFFSET(kvm_vcpu_arch, mmu_external_spt_cache);
	OFFSET(kvm_vcpu_arch, complete_userspace_io);
	OFFSET(kvm_vcpu_arch, pvclock_tsc_shift);
	OFFSET(kvm_vcpu_arch, pvclock_tsc_mul);
	SIZE(kvm_mmu_memory_cache);
	OFFSET(kvm_mmu_memory_cache, nobjs);

	SIZE(kvm_vcpu_stat);
	OFFSET(kvm_vcpu_stat, pf_fast);
	OFFSET(kvm_vcpu_stat, pf_mmio_spte_created);
	OFFSET(kvm_vcpu_stat, pf_retry_invalidated);
	OFFSET(kvm_vcpu_stat, pf_retry_obsolete);
	OFFSET(kvm_vcpu_stat, pf_retry_memslot);
	OFFSET(kvm_vcpu_stat, pf_retry_raced);

	SIZE(kvm_mmu);
	OFFSET(kvm_mmu, root);
	OFFSET(kvm_mmu, mirror_root_hpa);
	OFFSET(kvm_mmu, root_role);
	OFFSET(kvm_mmu, fmt);
	SIZE(kvm_mmu_root_info);
	OFFSET(kvm_mmu_root_info, pgd);
	OFFSET(kvm_mmu_root_info, hpa);
	SIZE(kvm_page_format);
	OFFSET(kvm_page_format, rsvd_bits_mask);
	OFFSET(kvm_page_format, bad_mt_xwr);
	OFFSET(kvm_page_format, permissions);
}
