// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pre-faulting memory may dirty it, but not overflow the dirty ring: what the
 * guest wrote before must be in there until userspace takes it out.
 *
 * KVM may stop before the ring is full, or leave alone what is logged.
 */
#include <test_util.h>
#include <kvm_util.h>
#include <processor.h>
#include <asm/barrier.h>
#include <linux/bitmap.h>

#include "kernel_log.h"

#define TEST_GPA	0xc0000000ul
#define TEST_SLOT	10

#define RING_ENTRIES	1024
#define WRITTEN		50
#define PREFAULTED	(RING_ENTRIES + WRITTEN)
#define PAGES		(WRITTEN + PREFAULTED)

struct ring {
	struct kvm_vcpu *vcpu;
	struct kvm_dirty_gfn *gfns;
	u32 next;
	unsigned long *seen;
};

static void guest_code(void)
{
	gva_t gva;

	for (gva = TEST_GPA; gva < TEST_GPA + WRITTEN * PAGE_SIZE; gva += PAGE_SIZE)
		WRITE_ONCE(*(u64 *)gva, gva);
	GUEST_DONE();
}

static u32 harvest(struct ring *ring)
{
	struct kvm_dirty_gfn *gfn;
	u32 count;

	for (count = 0; ; count++) {
		gfn = &ring->gfns[ring->next++ % RING_ENTRIES];

		/* Pairs with KVM, which sets the flag after the rest. */
		if (smp_load_acquire(&gfn->flags) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		TEST_ASSERT_EQ(gfn->slot, TEST_SLOT);
		TEST_ASSERT(gfn->offset < PAGES, "No such page: %llu", gfn->offset);
		__set_bit(gfn->offset, ring->seen);

		/* Pairs with KVM, which reads the rest after the flag. */
		smp_store_release(&gfn->flags, KVM_DIRTY_GFN_F_RESET);
	}
	ring->next--;
	TEST_ASSERT_EQ(kvm_vm_reset_dirty_ring(ring->vcpu->vm), count);
	return count;
}

/* As a VMM would: an error is none if there is something to take out. */
static void prefault(struct ring *ring)
{
	struct kvm_pre_fault_memory range = {
		.gpa = TEST_GPA + WRITTEN * PAGE_SIZE,
		.size = PREFAULTED * PAGE_SIZE,
	};

	while (range.size) {
		if (__vcpu_ioctl(ring->vcpu, KVM_PRE_FAULT_MEMORY, &range) &&
		    errno != EINTR)
			TEST_ASSERT(harvest(ring), "Stopped at 0x%llx, errno %d",
				    range.gpa, errno);
	}
}

static struct kvm_vm *create(struct ring *ring)
{
	struct kvm_vm *vm = __vm_create(VM_SHAPE_DEFAULT, 1, PAGES);

	vm_enable_dirty_ring(vm, RING_ENTRIES * sizeof(*ring->gfns));
	ring->vcpu = vm_vcpu_add(vm, 0, guest_code);
	ring->gfns = vcpu_map_dirty_ring(ring->vcpu);
	ring->next = 0;
	ring->seen = bitmap_zalloc(PAGES);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TEST_GPA, TEST_SLOT,
				    PAGES, KVM_MEM_LOG_DIRTY_PAGES);
	virt_map(vm, TEST_GPA, TEST_GPA, PAGES);

	/* Pages that are there and writable are mapped writable. */
	memset(addr_gpa2hva(vm, TEST_GPA), 0x5a, PAGES * PAGE_SIZE);
	return vm;
}

int main(void)
{
	struct ring ring;
	struct kvm_vm *vm;
	struct ucall uc;
	u32 lost = 0;
	int i, log;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
	TEST_REQUIRE(get_kvm_param_bool("tdp_mmu"));

	log = kernel_log_open();
	vm = create(&ring);
	vcpu_run(ring.vcpu);
	TEST_ASSERT_EQ(get_ucall(ring.vcpu, &uc), UCALL_DONE);

	prefault(&ring);
	harvest(&ring);
	for (i = 0; i < WRITTEN; i++)
		lost += !test_bit(i, ring.seen);
	TEST_ASSERT(!lost, "%u of %u written pages are not in the ring", lost, WRITTEN);
	kernel_log_assert_no_warning(log);

	free(ring.seen);
	kvm_vm_free(vm);
	return 0;
}
