// SPDX-License-Identifier: GPL-2.0-only
/*
 * L2 runs without nested paging, so that KVM's own page tables translate for
 * it. It has a root of its own, and L1 has another one. Each maps the pages that
 * were used while it was loaded, and mmu_map shows these, and no others.
 */
#include <test_util.h>
#include <kvm_util.h>
#include <processor.h>
#include <svm_util.h>
#include <vmx.h>

#define MEM_GPA		0xc0000000ul
#define MEM_SLOT	10
#define MEM_PAGES	64

/* Bit n is for page n. */
#define L1_PAGES	0xf0f0000000000001ul
#define L2_PAGES	0x80000000f0000003ul

static void touch(u64 pages)
{
	int i;

	for (i = 0; i < MEM_PAGES; i++) {
		if (pages & BIT_ULL(i))
			WRITE_ONCE(*(u64 *)(MEM_GPA + i * PAGE_SIZE), i);
	}
}

static void l2_guest_code(void)
{
	touch(L2_PAGES);
	vmcall();
}

static void run_l2_on_vmx(struct vmx_pages *vmx)
{
	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_guest_code);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
}

static void run_l2_on_svm(struct svm_test_data *svm)
{
	generic_svm_setup(svm, l2_guest_code);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
}

static void l1_guest_code(void *nested)
{
	touch(L1_PAGES);
	if (this_cpu_has(X86_FEATURE_VMX))
		run_l2_on_vmx(nested);
	else
		run_l2_on_svm(nested);
	GUEST_DONE();
}

static FILE *open_map(struct kvm_vm *vm)
{
	char path[64];
	FILE *map;

	/* KVM names the directory after the thread that made the VM. */
	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/mmu_map",
		 getpid(), vm->fd);
	map = fopen(path, "r");
	TEST_ASSERT(map, "%s: %s", path, strerror(errno));
	return map;
}

/* Pages of the slot that the map's @line maps. */
static u64 pages_in(const char *line)
{
	u64 gfn, first, last, pages = 0;

	if (strstr(line, " absent"))
		return 0;

	if (sscanf(line, " %lx-%lx", &first, &last) != 2)
		TEST_FAIL("A strange line: %s", line);

	for (gfn = first; gfn <= last; gfn++) {
		u64 page = gfn - (MEM_GPA >> PAGE_SHIFT);

		if (page < MEM_PAGES)
			pages |= BIT_ULL(page);
	}
	return pages;
}

/* What roots map that have @role in their line. */
static u64 mapped_by_roots(struct kvm_vm *vm, const char *role)
{
	FILE *map = open_map(vm);
	bool wanted = false;
	char line[256];
	u64 pages = 0;

	while (fgets(line, sizeof(line), map)) {
		if (!strncmp(line, "root ", strlen("root ")))
			wanted = strstr(line, role);
		else if (wanted)
			pages |= pages_in(line);
	}
	fclose(map);
	return pages;
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;
	gva_t nested;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_VMX) || kvm_cpu_has(X86_FEATURE_SVM));
	TEST_REQUIRE(get_kvm_param_bool("tdp_mmu"));

	vm = vm_create_with_one_vcpu(&vcpu, l1_guest_code);
	if (kvm_cpu_has(X86_FEATURE_VMX))
		vcpu_alloc_vmx(vm, &nested);
	else
		vcpu_alloc_svm(vm, &nested);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, MEM_GPA, MEM_SLOT,
				    MEM_PAGES, 0);
	virt_map(vm, MEM_GPA, MEM_GPA, MEM_PAGES);
	vcpu_args_set(vcpu, 1, nested);

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	TEST_ASSERT_EQ(mapped_by_roots(vm, " guest_mode=0 "), L1_PAGES);
	TEST_ASSERT_EQ(mapped_by_roots(vm, " guest_mode=1 "), L2_PAGES);

	kvm_vm_free(vm);
	return 0;
}
