// SPDX-License-Identifier: GPL-2.0

/* The bits of a role's word that are the field: all ones there, and nothing else. */
#define ROLE_MASK(name, field) \
	CONST_AS(u32, name, ((union kvm_mmu_page_role){ .field = ~0u }).word)

static void __used role_masks(void)
{
	ROLE_MASK(ROLE_LEVEL_MASK, level);
	ROLE_MASK(ROLE_ACCESS_MASK, access);
	ROLE_MASK(ROLE_INVALID_MASK, invalid);
	ROLE_MASK(ROLE_AD_DISABLED_MASK, ad_disabled);
	ROLE_MASK(ROLE_GUEST_MODE_MASK, guest_mode);
	ROLE_MASK(ROLE_SMM_MASK, smm);
}

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
