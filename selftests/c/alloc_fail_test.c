// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page table allocations that fail: the VM must go on with correct memory.
 *
 * /proc/thread-self/fail-nth makes the Nth allocation of this thread fail.  N
 * is counted up until an operation ends before its Nth allocation, so that
 * every allocation of the operation has failed once.  What is left behind is
 * for the runner to see, it checks after every test that nothing is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "touch_vm.h"

/* KVM allocates tables in batches, and splits one huge page at a time. */
#define FAULT_SIZE	SZ_256M
#define SPLIT_SIZE	SZ_64M

/* If this many failures in a row aren't enough, then there is no end to it. */
#define MAX_NTH		5000

static int fail_nth_fd;

static void fail_nth(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	TEST_ASSERT(pwrite(fail_nth_fd, text, len, 0) == len,
		    "Can't write /proc/thread-self/fail-nth");
}

/* Stop, and say whether the failure was delivered. */
static bool stop_failing(void)
{
	char text[16] = {};

	TEST_ASSERT(pread(fail_nth_fd, text, sizeof(text) - 1, 0) > 0,
		    "Can't read /proc/thread-self/fail-nth");
	fail_nth(0);
	return !atoi(text);
}

/* Drop all page tables by deleting the slot, and make it anew. */
static void drop_tables(struct touch_vm *t, u32 flags)
{
	vm_set_user_memory_region(t->vm, TOUCH_SLOT, flags, TOUCH_GPA, 0, NULL);
	vm_set_user_memory_region(t->vm, TOUCH_SLOT, flags, TOUCH_GPA, t->size,
				  t->mem);
}

/* Faults: KVM_RUN may fail for want of memory, and then be called again. */
static void test_table_allocation(void)
{
	/* One page of each 2M, so that every page needs a table. */
	struct touch_vm t = touch_vm_create(VM_MEM_SRC_ANONYMOUS, FAULT_SIZE,
					    SZ_2M);
	int n, refused = 0, ret;
	bool delivered = true;

	for (n = 1; delivered && n < MAX_NTH; n++) {
		drop_tables(&t, 0);

		/* KVM_RUN alone: _vcpu_run() would get the registers, too. */
		fail_nth(n);
		ret = __vcpu_run(t.vcpu);
		delivered = stop_failing();

		if (ret) {
			TEST_ASSERT(delivered && errno == ENOMEM,
				    "KVM_RUN failed with errno %d", errno);
			refused++;
			vcpu_run(t.vcpu);
		}
		touch_vm_verify(&t);
	}

	TEST_ASSERT(!delivered, "Still failing after %d allocations", n);
	TEST_ASSERT(refused, "No failure reached KVM_RUN");
	pr_info("faults: %d failures, %d times KVM_RUN had to be repeated\n",
		n - 2, refused);
	kvm_vm_free(t.vm);
}

static int set_flags(struct touch_vm *t, u32 flags)
{
	return __vm_set_user_memory_region(t->vm, TOUCH_SLOT, flags, TOUCH_GPA,
					   t->size, t->mem);
}

/* Enabling the dirty log: huge pages that can't be split now are split later. */
static void test_eager_split(void)
{
	struct touch_vm t = touch_vm_create(VM_MEM_SRC_ANONYMOUS_HUGETLB_2MB,
					    SPLIT_SIZE, SZ_2M);
	int n, unsplit = 0, ret;
	bool delivered = true;

	for (n = 1; delivered && n < MAX_NTH; n++) {
		drop_tables(&t, 0);
		touch_vm_round(&t);
		TEST_ASSERT_EQ(vm_get_stat(t.vm, pages_2m), SPLIT_SIZE / SZ_2M);

		fail_nth(n);
		ret = set_flags(&t, KVM_MEM_LOG_DIRTY_PAGES);
		delivered = stop_failing();

		if (ret) {
			TEST_ASSERT(delivered && errno == ENOMEM,
				    "Enabling the dirty log: errno %d", errno);
			TEST_ASSERT(!set_flags(&t, KVM_MEM_LOG_DIRTY_PAGES),
				    "The dirty log stays off");
		} else if (vm_get_stat(t.vm, pages_2m)) {
			unsplit++;
		}

		touch_vm_round(&t);
		TEST_ASSERT_EQ(vm_get_stat(t.vm, pages_2m), 0);
		TEST_ASSERT(!set_flags(&t, 0), "The dirty log stays on");
		touch_vm_round(&t);
	}

	TEST_ASSERT(!delivered, "Still failing after %d allocations", n);
	TEST_ASSERT(unsplit, "No failure reached the splitting");
	pr_info("splits: %d failures, %d times huge pages were left\n",
		n - 2, unsplit);
	kvm_vm_free(t.vm);
}

int main(void)
{
	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	__TEST_REQUIRE(fail_nth_fd >= 0, "CONFIG_FAULT_INJECTION is needed");

	test_table_allocation();
	test_eager_split();
	return 0;
}
