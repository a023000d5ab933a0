// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps a VM alive for whoever started it: every line on standard input makes
 * the guest write all of its memory, and is answered once the host has seen
 * the result.  The VM goes away at the end of the input.
 *
 * With the argument "xen", the VM speaks Xen to its guest, and has everything
 * that KVM's Xen code must clean up.
 */
#include <stdio.h>
#include <string.h>

#include "touch_vm.h"

#define MEM_SIZE	SZ_16M
#define XEN_PORT	15
/* Xen's number for ports between domains, which no header here has. */
#define EVTCHNSTAT_interdomain	2

static void configure_xen(struct touch_vm *t)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000000,
	};
	struct kvm_xen_hvm_attr shared_info = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = TOUCH_GPA >> PAGE_SHIFT,
	};
	struct kvm_xen_hvm_attr port = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn.send_port = XEN_PORT,
		.u.evtchn.type = EVTCHNSTAT_interdomain,
		.u.evtchn.deliver.port.port = XEN_PORT,
		.u.evtchn.deliver.port.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	vm_ioctl(t->vm, KVM_XEN_HVM_CONFIG, &config);
	vm_ioctl(t->vm, KVM_XEN_HVM_SET_ATTR, &shared_info);
	vm_ioctl(t->vm, KVM_XEN_HVM_SET_ATTR, &port);
}

int main(int argc, char *argv[])
{
	struct touch_vm t = touch_vm_create(VM_MEM_SRC_ANONYMOUS, MEM_SIZE,
					    PAGE_SIZE);
	char line[16];

	if (argc > 1 && !strcmp(argv[1], "xen"))
		configure_xen(&t);

	setlinebuf(stdout);
	printf("ready\n");

	while (fgets(line, sizeof(line), stdin)) {
		touch_vm_round(&t);
		printf("touched\n");
	}

	kvm_vm_free(t.vm);
	return 0;
}
