// SPDX-License-Identifier: GPL-2.0

/* Faults, access rights and levels. */
static void __used fault_constants(void)
{
	CONST(u32, ACC_READ_MASK);
	CONST(u32, ACC_WRITE_MASK);
	CONST(u32, ACC_EXEC_MASK);
	CONST(u32, ACC_USER_MASK);
	CONST(u32, ACC_ALL);

	CONST(u64, PFERR_WRITE_MASK);
	CONST(u64, PFERR_USER_MASK);
	CONST(u64, PFERR_FETCH_MASK);

	CONST(i32, RET_PF_CONTINUE);
	CONST(i32, RET_PF_RETRY);
	CONST(i32, RET_PF_EMULATE);
	CONST(i32, RET_PF_WRITE_PROTECTED);
	CONST(i32, RET_PF_INVALID);
	CONST(i32, RET_PF_FIXED);
	CONST(i32, RET_PF_SPURIOUS);

	CONST(i32, PG_LEVEL_4K);
	CONST(i32, PG_LEVEL_2M);
	CONST(i32, PG_LEVEL_1G);
	CONST(i32, KVM_MAX_HUGEPAGE_LEVEL);
	CONST(i32, PT64_ROOT_MAX_LEVEL);
	CONST_AS(u64, KVM_PAGES_PER_2M, KVM_PAGES_PER_HPAGE(PG_LEVEL_2M));
	CONST_AS(u64, KVM_PAGES_PER_1G, KVM_PAGES_PER_HPAGE(PG_LEVEL_1G));
}

static void __used fault_layout(void)
{
	SIZE(kvm_page_fault);
	OFFSET(kvm_page_fault, addr);
	OFFSET(kvm_page_fault, error_code);
	OFFSET(kvm_page_fault, prefetch);
	OFFSET(kvm_page_fault, exec);
	OFFSET(kvm_page_fault, write);
	OFFSET(kvm_page_fault, present);
	OFFSET(kvm_page_fault, rsvd);
	OFFSET(kvm_page_fault, is_private);
	OFFSET(kvm_page_fault, nx_huge_page_workaround_enabled);
	OFFSET(kvm_page_fault, huge_page_disallowed);
	OFFSET(kvm_page_fault, max_level);
	OFFSET(kvm_page_fault, req_level);
	OFFSET(kvm_page_fault, goal_level);
	OFFSET(kvm_page_fault, gfn);
	OFFSET(kvm_page_fault, slot);
	OFFSET(kvm_page_fault, pfn);
	OFFSET(kvm_page_fault, refcounted_page);
	OFFSET(kvm_page_fault, map_writable);
}
