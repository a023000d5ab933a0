/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM with one vCPU and one memslot, whose guest writes to the slot when told.
 */
#ifndef KVM_RS_TOUCH_VM_H
#define KVM_RS_TOUCH_VM_H

#include <kvm_util.h>
#include <processor.h>
#include <linux/sizes.h>

#define TOUCH_GPA	SZ_4G
#define TOUCH_SLOT	10

struct touch_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 *mem;
	u64 size;
	u64 stride;
	u64 round;
};

/* Write the round's number every @stride bytes, then tell the host. */
static void touch_guest(u64 size, u64 stride)
{
	u64 round, gva;

	for (round = 1; ; round++) {
		for (gva = TOUCH_GPA; gva < TOUCH_GPA + size; gva += stride)
			WRITE_ONCE(*(u64 *)gva, round + gva);
		GUEST_SYNC(round);
	}
}

static inline struct touch_vm touch_vm_create(enum vm_mem_backing_src_type src,
					      u64 size, u64 stride)
{
	struct touch_vm t = { .size = size, .stride = stride };

	t.vm = __vm_create_with_one_vcpu(&t.vcpu, size >> PAGE_SHIFT,
					 touch_guest);
	vm_userspace_mem_region_add(t.vm, src, TOUCH_GPA, TOUCH_SLOT,
				    size >> PAGE_SHIFT, 0);
	virt_map(t.vm, TOUCH_GPA, TOUCH_GPA, size >> PAGE_SHIFT);
	vcpu_args_set(t.vcpu, 2, size, stride);
	t.mem = addr_gpa2hva(t.vm, TOUCH_GPA);

	/* Only the VM's page tables shall be missing when the guest runs. */
	memset(t.mem, 0, size);
	return t;
}

/* The guest's round is over: did everything that it wrote arrive? */
static inline void touch_vm_verify(struct touch_vm *t)
{
	struct ucall uc;
	u64 offset;

	TEST_ASSERT_EQ(get_ucall(t->vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], ++t->round);

	for (offset = 0; offset < t->size; offset += t->stride)
		TEST_ASSERT_EQ(t->mem[offset / sizeof(*t->mem)],
			       t->round + TOUCH_GPA + offset);
}

/* One round in which nothing may go wrong. */
static inline void touch_vm_round(struct touch_vm *t)
{
	vcpu_run(t->vcpu);
	touch_vm_verify(t);
}

#endif /* KVM_RS_TOUCH_VM_H */
