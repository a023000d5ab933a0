// SPDX-License-Identifier: GPL-2.0

static void __used shadow_page_layout(void)
{
	SIZE(kvm_mmu_page);
	OFFSET(kvm_mmu_page, link);
	OFFSET(kvm_mmu_page, tdp_mmu_page);
	OFFSET_AS(kvm_mmu_page, tdp_mmu_scheduled_root_to_zap,
		  __bindgen_anon_1.tdp_mmu_scheduled_root_to_zap);
	OFFSET(kvm_mmu_page, nx_huge_page_disallowed);
	OFFSET(kvm_mmu_page, role);
	OFFSET(kvm_mmu_page, gfn);
	OFFSET(kvm_mmu_page, spt);
	OFFSET_AS(kvm_mmu_page, tdp_mmu_root_count, __bindgen_anon_2.tdp_mmu_root_count);
	OFFSET(kvm_mmu_page, has_mapped_host_mmio);
	OFFSET_AS(kvm_mmu_page, external_spt, __bindgen_anon_3.external_spt);
	OFFSET_AS(kvm_mmu_page, ptep, __bindgen_anon_4.ptep);
	OFFSET(kvm_mmu_page, possible_nx_huge_page_link);
	/* The kernel's headers define rcu_head to callback_head. */
	OFFSET(kvm_mmu_page, callback_head);
}
