// SPDX-License-Identifier: GPL-2.0-only
/*
 * Disabling dirty logging maps what was split by huge pages again, in place:
 * right after the ioctl() there are as many huge pages as before logging, no
 * small page is left of them, and the guest goes on without a single fault.
 *
 * dirty_log_page_splitting_test looks only after the guest has touched its
 * memory again, when faults may have mapped the huge pages.
 */
#include "touch_vm.h"

#define MEM_SIZE	SZ_16M
#define MEM_HUGE_PAGES	(MEM_SIZE / SZ_2M)
#define MEM_PAGES	(MEM_SIZE / SZ_4K)

#define NR_CYCLES	2

static void set_dirty_logging(struct touch_vm *t, bool enable)
{
	vm_mem_region_set_flags(t->vm, TOUCH_SLOT,
				enable ? KVM_MEM_LOG_DIRTY_PAGES : 0);
}

static void assert_pages(struct touch_vm *t, u64 pages_4k, u64 pages_2m)
{
	TEST_ASSERT_EQ(vm_get_stat(t->vm, pages_4k), pages_4k);
	TEST_ASSERT_EQ(vm_get_stat(t->vm, pages_2m), pages_2m);
}

static u64 faults_of_round(struct touch_vm *t)
{
	u64 before = vcpu_get_stat(t->vcpu, pf_taken);

	touch_vm_round(t);
	return vcpu_get_stat(t->vcpu, pf_taken) - before;
}

/* Split all huge pages, in the way that is right for the kind of log. */
static void start_logging(struct touch_vm *t, u64 manual_caps, void *bitmap)
{
	set_dirty_logging(t, true);

	/* With a log that starts out full, nothing is split before a clear. */
	if (manual_caps & KVM_DIRTY_LOG_INITIALLY_SET) {
		TEST_ASSERT_EQ(vm_get_stat(t->vm, pages_2m), MEM_HUGE_PAGES);
		kvm_vm_get_dirty_log(t->vm, TOUCH_SLOT, bitmap);
		kvm_vm_clear_dirty_log(t->vm, TOUCH_SLOT, bitmap, 0, MEM_PAGES);
	}
}

static void run_test(u64 manual_caps)
{
	/* The guest writes to every small page. */
	struct touch_vm t = touch_vm_create(VM_MEM_SRC_ANONYMOUS_HUGETLB_2MB,
					    MEM_SIZE, SZ_4K);
	void *bitmap = calloc(1, MEM_PAGES / 8);
	u64 others;
	int i;

	if (manual_caps)
		vm_enable_cap(t.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      manual_caps);

	touch_vm_round(&t);
	others = vm_get_stat(t.vm, pages_4k);
	assert_pages(&t, others, MEM_HUGE_PAGES);

	for (i = 0; i < NR_CYCLES; i++) {
		start_logging(&t, manual_caps, bitmap);
		assert_pages(&t, others + MEM_PAGES, 0);
		touch_vm_round(&t);

		set_dirty_logging(&t, false);
		assert_pages(&t, others, MEM_HUGE_PAGES);
		TEST_ASSERT_EQ(faults_of_round(&t), 0);
		assert_pages(&t, others, MEM_HUGE_PAGES);
	}

	free(bitmap);
	kvm_vm_free(t.vm);
}

int main(void)
{
	u64 manual_caps = kvm_check_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);

	TEST_REQUIRE(get_kvm_param_bool("eager_page_split"));
	TEST_REQUIRE(get_kvm_param_bool("tdp_mmu"));

	run_test(0);
	if (manual_caps & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		run_test(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	if (manual_caps & KVM_DIRTY_LOG_INITIALLY_SET)
		run_test(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			 KVM_DIRTY_LOG_INITIALLY_SET);

	return 0;
}
