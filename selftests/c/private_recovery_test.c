// SPDX-License-Identifier: GPL-2.0-only
/*
 * When dirty logging ends, huge pages come back, but not where the guest's
 * memory is private by now. In a slot without guest_memfd there is nothing to
 * map then, and nothing to warn about.
 */
#include <test_util.h>
#include <kvm_util.h>
#include <processor.h>
#include <linux/sizes.h>

#include "kernel_log.h"

#define TEST_GPA	SZ_4G
#define TEST_SLOT	10

/* The first half becomes private, the second half stays as it is. */
#define TEST_SIZE	(2 * SZ_2M)

static void guest_code(void)
{
	WRITE_ONCE(*(u64 *)TEST_GPA, 1);
	WRITE_ONCE(*(u64 *)(TEST_GPA + SZ_2M), 2);
	GUEST_DONE();
}

static struct kvm_vm *create(struct kvm_vcpu **vcpu)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_vm *vm = vm_create_shape_with_one_vcpu(shape, vcpu, guest_code);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS_HUGETLB_2MB, TEST_GPA,
				    TEST_SLOT, TEST_SIZE >> PAGE_SHIFT,
				    KVM_MEM_LOG_DIRTY_PAGES);
	virt_map(vm, TEST_GPA, TEST_GPA, TEST_SIZE >> PAGE_SHIFT);
	memset(addr_gpa2hva(vm, TEST_GPA), 0, TEST_SIZE);
	return vm;
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;
	u64 huge;
	int log;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM));
	TEST_REQUIRE(get_kvm_param_bool("tdp_mmu"));

	log = kernel_log_open();
	vm = create(&vcpu);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_DONE);

	vm_mem_set_private(vm, TEST_GPA, SZ_2M);
	huge = vm_get_stat(vm, pages_2m);
	vm_mem_region_set_flags(vm, TEST_SLOT, 0);
	TEST_ASSERT_EQ(vm_get_stat(vm, pages_2m), huge + 1);
	kernel_log_assert_no_warning(log);

	kvm_vm_free(vm);
	return 0;
}
