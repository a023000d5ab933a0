// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page table of L1 for L2 is in a page that L1 accessed when there was no
 * memory yet. KVM has an MMIO SPTE for that access, and keeps it when a memslot
 * is added. L1 must not get to write the page behind KVM's back: L2 has to see
 * each change that L1 makes.
 *
 * A table of 4K entries may be out of sync until L1 flushes L2's TLB, one of a
 * higher level may not. Without the access there is no MMIO SPTE, and the rest
 * of the test is the same.
 */
#include <test_util.h>
#include <kvm_util.h>
#include <processor.h>
#include <svm_util.h>
#include <vmx.h>

/* Where L1 has its page table, and where L2 has the page that it looks at. */
#define TABLE_GPA	0xd0000000ul
#define TABLE_SLOT	10
#define L2_GPA		0xc0000000ul

#define OLD_VALUE	0x01d
#define NEW_VALUE	0x7e3

static u64 l2_value;

static void l2_guest_code(void)
{
	WRITE_ONCE(l2_value, READ_ONCE(*(u64 *)L2_GPA));
	vmcall();
}

static void vmx_run_l2(struct vmx_pages *vmx, bool first)
{
	struct { u64 eptp, gpa; } all = { 0 };
	u64 type = 2;

	if (first) {
		GUEST_ASSERT(prepare_for_vmx_operation(vmx));
		GUEST_ASSERT(load_vmcs(vmx));
		prepare_vmcs(vmx, l2_guest_code);
		GUEST_ASSERT(!vmlaunch());
	} else {
		asm volatile("invept %0, %1" : : "m"(all), "r"(type) : "cc", "memory");
		vmwrite(GUEST_RIP, (u64)l2_guest_code);
		GUEST_ASSERT(!vmresume());
	}
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
}

static void svm_run_l2(struct svm_test_data *svm, bool first)
{
	if (first)
		generic_svm_setup(svm, l2_guest_code);
	svm->vmcb->save.rip = (u64)l2_guest_code;
	svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
}

/* L2's view of its page, with no translation left from before. */
static u64 read_in_l2(void *nested, bool first)
{
	if (this_cpu_has(X86_FEATURE_VMX))
		vmx_run_l2(nested, first);
	else
		svm_run_l2(nested, first);
	return READ_ONCE(l2_value);
}

static void l1_guest_code(void *nested, bool access, u64 new_entry)
{
	u64 *table = (u64 *)TABLE_GPA;

	if (access)
		READ_ONCE(*table);
	GUEST_SYNC(0);

	GUEST_ASSERT_EQ(read_in_l2(nested, true), OLD_VALUE);
	WRITE_ONCE(*table, new_entry);
	GUEST_ASSERT_EQ(read_in_l2(nested, false), NEW_VALUE);
	GUEST_DONE();
}

/* The entry of L1's page tables that translates L2_GPA at @level. */
static u64 *tdp_entry(struct kvm_vm *vm, int level)
{
	u64 table = vm->stage2_mmu.pgd, *entry = NULL;
	int i;

	for (i = vm->stage2_mmu.pgtable_levels; i >= level; i--) {
		entry = addr_gpa2hva(vm, table & PHYSICAL_PAGE_MASK);
		entry += (L2_GPA >> PG_LEVEL_SHIFT(i)) & 0x1ff;
		table = *entry;
	}
	return entry;
}

static u64 with_address(u64 entry, u64 gpa)
{
	return (entry & ~PHYSICAL_PAGE_MASK) | gpa;
}

static gpa_t page_with(struct kvm_vm *vm, u64 value)
{
	gva_t page = vm_alloc_page(vm);

	*(u64 *)addr_gva2hva(vm, page) = value;
	return addr_gva2gpa(vm, page);
}

/* Maps L2_GPA to the old page. The result is what L1 writes for the new one. */
static u64 map_l2_page(struct kvm_vm *vm, int level)
{
	gpa_t new_page = page_with(vm, NEW_VALUE), new_table;
	u64 leaf;

	tdp_map(vm, L2_GPA, page_with(vm, OLD_VALUE), PAGE_SIZE);
	leaf = with_address(*tdp_entry(vm, PG_LEVEL_4K), new_page);
	if (level == PG_LEVEL_4K)
		return leaf;

	/* L2_GPA's entry is the first of each table that is of interest. */
	new_table = vm_alloc_page_table(vm);
	*(u64 *)addr_gpa2hva(vm, new_table) = leaf;
	return with_address(*tdp_entry(vm, PG_LEVEL_2M), new_table);
}

/* Runs the guest up to its next word, and answers MMIO with whatever there is. */
static u64 next_ucall(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	do {
		vcpu_run(vcpu);
	} while (vcpu->run->exit_reason == KVM_EXIT_MMIO);

	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	return uc.cmd;
}

static void run_test(int level, bool access)
{
	struct kvm_vcpu *vcpu;
	u64 *parent, *table;
	struct kvm_vm *vm;
	u64 new_entry;
	gva_t nested;

	pr_info("Page table of level %d, %s\n", level,
		access ? "with an MMIO SPTE" : "without an MMIO SPTE");

	vm = vm_create_with_one_vcpu(&vcpu, l1_guest_code);
	vm_enable_tdp(vm);
	if (kvm_cpu_has(X86_FEATURE_VMX))
		vcpu_alloc_vmx(vm, &nested);
	else
		vcpu_alloc_svm(vm, &nested);
	virt_map(vm, TABLE_GPA, TABLE_GPA, 1);
	virt_map(vm, L2_GPA, L2_GPA, 1);
	new_entry = map_l2_page(vm, level);
	tdp_identity_map_default_memslots(vm);

	/* Not there yet, but L1's page tables refer to it already. */
	parent = tdp_entry(vm, level + 1);
	table = addr_gpa2hva(vm, *parent & PHYSICAL_PAGE_MASK);
	*parent = with_address(*parent, TABLE_GPA);

	vcpu_args_set(vcpu, 3, nested, (u64)access, new_entry);
	TEST_ASSERT_EQ(next_ucall(vcpu), UCALL_SYNC);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TABLE_GPA,
				    TABLE_SLOT, 1, 0);
	memcpy(addr_gpa2hva(vm, TABLE_GPA), table, PAGE_SIZE);
	TEST_ASSERT_EQ(next_ucall(vcpu), UCALL_DONE);

	kvm_vm_free(vm);
}

int main(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_VMX) || kvm_cpu_has(X86_FEATURE_SVM));
	TEST_REQUIRE(kvm_cpu_has_tdp());

	run_test(PG_LEVEL_4K, false);
	run_test(PG_LEVEL_2M, false);
	run_test(PG_LEVEL_4K, true);
	run_test(PG_LEVEL_2M, true);

	return 0;
}
