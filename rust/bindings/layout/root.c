// SPDX-License-Identifier: GPL-2.0

/* The kinds of roots, and the fields of a role as masks of its word. */
static void __used root_constants(void)
{
	CONST(kvm_mmu_type, KVM_TDP_MMU);
	CONST(kvm_gfn_range_filter, KVM_FILTER_SHARED);
	CONST(kvm_gfn_range_filter, KVM_FILTER_PRIVATE);
	CONST(u32, KVM_INVALID_ROOTS);
	CONST(u32, KVM_DIRECT_ROOTS);
	CONST(u32, KVM_MIRROR_ROOTS);
	CONST(u32, KVM_VALID_ROOTS);
	CONST(u32, KVM_ALL_ROOTS);
	CONST_AS(u64, INVALID_PAGE, INVALID_PAGE);

	ROLE_MASK(LEVEL, level);
	ROLE_MASK(DIRECT, direct);
	ROLE_MASK(ACCESS, access);
	ROLE_MASK(INVALID, invalid);
	ROLE_MASK(AD_DISABLED, ad_disabled);
	ROLE_MASK(GUEST_MODE, guest_mode);
	ROLE_MASK(IS_MIRROR, is_mirror);
	ROLE_MASK(SMM, smm);
}
