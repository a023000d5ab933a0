// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps a VM alive for whoever started it: every line on standard input makes
 * the guest write all of its memory, and is answered once the host has seen
 * the result.  The VM goes away at the end of the input.
 */
#include <stdio.h>

#include "touch_vm.h"

#define MEM_SIZE	SZ_16M

int main(void)
{
	struct touch_vm t = touch_vm_create(VM_MEM_SRC_ANONYMOUS, MEM_SIZE,
					    PAGE_SIZE);
	char line[16];

	setlinebuf(stdout);
	printf("ready\n");

	while (fgets(line, sizeof(line), stdin)) {
		touch_vm_round(&t);
		printf("touched\n");
	}

	kvm_vm_free(t.vm);
	return 0;
}
