// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into the test programs that run in Bochs: their guests start with interrupts
 * enabled.
 *
 * A VM entry must unmask external interrupts, which leave the guest whatever its RFLAGS.IF
 * says. Bochs 3.0 does that only when the entry changes IF. KVM enters with IF clear, and so
 * do the guests of the kernel's selftests start: one that spins would never be interrupted,
 * and the only processor would never run anything else again.
 *
 * Interrupt flag aside, nothing changes: a test that wants an interrupt sets the flag itself,
 * and the others have no source of interrupts.
 */

#include <linux/kvm.h>

#include "../preload/ioctl.h"

#define RFLAGS_AT_RESET 0x2
#define RFLAGS_IF 0x200

static int on_ioctl(int fd, unsigned long request, void *argument)
{
	struct kvm_regs *regs = argument;

	if (request == KVM_SET_REGS && regs->rflags == RFLAGS_AT_RESET)
		regs->rflags |= RFLAGS_IF;

	return next_ioctl(fd, request, argument);
}
