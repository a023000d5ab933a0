// SPDX-License-Identifier: GPL-2.0

static void __used gpc_layout(void)
{
	SIZE(gfn_to_pfn_cache);
	OFFSET(gfn_to_pfn_cache, generation);
	OFFSET(gfn_to_pfn_cache, gpa);
	OFFSET(gfn_to_pfn_cache, uhva);
	OFFSET(gfn_to_pfn_cache, memslot);
	OFFSET(gfn_to_pfn_cache, kvm);
	OFFSET(gfn_to_pfn_cache, list);
	OFFSET(gfn_to_pfn_cache, pfn);
	OFFSET(gfn_to_pfn_cache, active);
	OFFSET(gfn_to_pfn_cache, pins);
	OFFSET(gfn_to_pfn_cache, base);
	OFFSET(kvm, gpc_list);
	CONST(u64, INVALID_GPA);

	/* A clock as words, as pfncache/pvclock.rs has it. */
	CONST_AS(usize, PVCLOCK_SIZE, sizeof(struct pvclock_vcpu_time_info));
	CONST_AS(usize, PVCLOCK_FLAGS_WORD,
		 offsetof(struct pvclock_vcpu_time_info, flags) / sizeof(u32));
	CONST_AS(u32, PVCLOCK_GUEST_STOPPED_IN_WORD, PVCLOCK_GUEST_STOPPED <<
		 8 * (offsetof(struct pvclock_vcpu_time_info, flags) % sizeof(u32)));
}
