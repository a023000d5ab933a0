// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of four levels translate 48 bits. An address beyond is not an
 * alias of a lower one: it can be emulated, but not mapped.
 *
 * It takes a host whose physical addresses have more than 48 bits, and on AMD
 * one without 5-level paging.
 */
#include <test_util.h>
#include <kvm_util.h>
#include <processor.h>

#define SPAN_BITS	48

#define LOW_GPA		0xc0000000ul
#define LOW_SLOT	10
#define LOW_VALUE	0x11111111ul

#define HIGH_GPA	(BIT_ULL(SPAN_BITS) + LOW_GPA)
#define HIGH_SLOT	11
#define HIGH_VALUE	0x22222222ul

static void guest_code(void)
{
	for (;;)
		GUEST_SYNC(READ_ONCE(*(u64 *)LOW_GPA));
}

static void add_page(struct kvm_vm *vm, u32 slot, gpa_t gpa, u64 value)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, gpa, slot, 1, 0);
	*(u64 *)addr_gpa2hva(vm, gpa) = value;
}

/* The result is the error, or 0. */
static int prefault_high_page(struct kvm_vcpu *vcpu)
{
	struct kvm_pre_fault_memory range = {
		.gpa = HIGH_GPA,
		.size = PAGE_SIZE,
	};

	return __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0;
}

static void assert_low_page_is_memory(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], LOW_VALUE);
}

static struct kvm_vm *create(struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm = vm_create_with_one_vcpu(vcpu, guest_code);

	TEST_REQUIRE(vm->pa_bits > SPAN_BITS);

	/* The library stays below AMD's HyperTransport region, 1 TiB or less. */
	vm->max_gfn = HIGH_GPA >> PAGE_SHIFT;

	/* On Intel, page tables have five levels only for vCPUs that need them. */
	vcpu_set_cpuid_property(*vcpu, X86_PROPERTY_MAX_PHY_ADDR, SPAN_BITS);
	add_page(vm, LOW_SLOT, LOW_GPA, LOW_VALUE);
	virt_map(vm, LOW_GPA, LOW_GPA, 1);
	return vm;
}

static void test_without_slot(bool low_page_is_mapped)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create(&vcpu);

	if (low_page_is_mapped)
		assert_low_page_is_memory(vcpu);
	TEST_ASSERT_EQ(prefault_high_page(vcpu), ENOENT);
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, pf_mmio_spte_created), 0);
	assert_low_page_is_memory(vcpu);
	kvm_vm_free(vm);
}

static void test_with_slot(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create(&vcpu);
	int error;

	add_page(vm, HIGH_SLOT, HIGH_GPA, HIGH_VALUE);
	error = prefault_high_page(vcpu);
	assert_low_page_is_memory(vcpu);
	TEST_ASSERT_EQ(error, EFAULT);
	kvm_vm_free(vm);
}

int main(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_PRE_FAULT_MEMORY));
	TEST_REQUIRE(get_kvm_param_bool("tdp_mmu"));
	TEST_REQUIRE(host_cpu_is_intel || !kvm_cpu_has(X86_FEATURE_LA57));

	test_with_slot();
	test_without_slot(false);
	test_without_slot(true);

	return 0;
}
