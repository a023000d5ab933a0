// SPDX-License-Identifier: GPL-2.0

static void __used backend_layout(void)
{
	SIZE(kvm_vm_backend);
	OFFSET(kvm_vm_backend, name);
	OFFSET(kvm_vm_backend, owner);
	OFFSET(kvm_vm_backend, vm_types);
	SIZE(kvm_backend_vm_ops);
	SIZE(kvm_backend_mmu_ops);
	SIZE(kvm_backend_notifier_ops);
	SIZE(kvm_backend_gpc_ops);
	SIZE(kvm_backend_debugfs_ops);

#define KVM_VM_BACKEND_OP(subject, op) OFFSET(kvm_vm_backend, subject.op)
#include "vm_backend_ops.h"
}
