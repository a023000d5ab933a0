// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into QEMU: counts how often it reads dirty bitmaps, clears them, and resets dirty rings.
 * In the end the three numbers are in the file that the variable COUNTS names.
 *
 * If the variable HIDE is not empty, KVM seems to lack the manual protection of bitmaps. QEMU has
 * no option for that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <linux/kvm.h>

#include "ioctl.h"

static unsigned long read_bitmaps, cleared, reset_rings;

static int is_hidden(unsigned long capability)
{
	const char *hide = getenv("HIDE");

	return capability == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 && hide && *hide;
}

static int on_ioctl(int fd, unsigned long request, void *argument)
{
	if (request == KVM_CHECK_EXTENSION && is_hidden((unsigned long)argument))
		return 0;

	if (request == KVM_GET_DIRTY_LOG)
		__atomic_fetch_add(&read_bitmaps, 1, __ATOMIC_RELAXED);
	if (request == KVM_CLEAR_DIRTY_LOG)
		__atomic_fetch_add(&cleared, 1, __ATOMIC_RELAXED);
	if (request == KVM_RESET_DIRTY_RINGS)
		__atomic_fetch_add(&reset_rings, 1, __ATOMIC_RELAXED);

	return next_ioctl(fd, request, argument);
}

__attribute__((destructor)) static void say(void)
{
	const char *path = getenv("COUNTS");
	FILE *file = path ? fopen(path, "w") : NULL;

	if (!file)
		return;

	fprintf(file, "%lu %lu %lu\n", read_bitmaps, cleared, reset_rings);
	fclose(file);
}
