// SPDX-License-Identifier: GPL-2.0

static void __used backend_layout(void)
{
	SIZE(kvm_mmu_backend_ops);
	OFFSET(kvm_mmu_backend_ops, name);
	OFFSET(kvm_mmu_backend_ops, owner);
	OFFSET(kvm_mmu_backend_ops, vm_types);

#define KVM_MMU_BACKEND_OP(op) OFFSET(kvm_mmu_backend_ops, op)
#include "mmu/backend-ops.h"
}
