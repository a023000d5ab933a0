// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into QEMU: takes along what QEMU leaves behind when it migrates a guest that was made for Xen.
 *
 * QEMU asks each vCPU for its timer when it has stopped. Then this asks for the times of its states, which
 * QEMU does not know of, and keeps them in the file that the variable LEAVES names. Before the vCPU first runs
 * in the QEMU that the guest comes to, it gets the times from the file that TAKES names.
 *
 * QEMU also sets the timer before it sets the clock that the timer goes by. So the timer is set once more.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "ioctl.h"

#define MAX_FD 1024

/* Of the vCPU behind a descriptor: the timer that QEMU has set, and whether it has run since. */
static struct {
	struct kvm_xen_vcpu_attr timer;
	int ran;
} came[MAX_FD];

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void ask(int fd, unsigned long request, struct kvm_xen_vcpu_attr *it,
		const char *what)
{
	if (next_ioctl(fd, request, it))
		fail(what);
}

/* Where the file has the vCPU's times. */
static off_t place(int fd)
{
	struct kvm_xen_vcpu_attr id = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID };

	ask(fd, KVM_XEN_VCPU_GET_ATTR, &id, "asking for a vCPU's number");
	return id.u.vcpu_id * sizeof(struct kvm_xen_vcpu_attr);
}

static void keep_times(int fd)
{
	struct kvm_xen_vcpu_attr times = { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA };
	int file = open(getenv("LEAVES"), O_WRONLY | O_CREAT, 0600);

	ask(fd, KVM_XEN_VCPU_GET_ATTR, &times, "asking for times");
	if (pwrite(file, &times, sizeof(times), place(fd)) != sizeof(times))
		fail("keeping times");
	close(file);
}

static void give_times(int fd)
{
	int file = open(getenv("TAKES"), O_RDONLY);
	struct kvm_xen_vcpu_attr times;

	if (pread(file, &times, sizeof(times), place(fd)) != sizeof(times))
		fail("reading times");
	close(file);
	ask(fd, KVM_XEN_VCPU_SET_ATTR, &times, "setting times");
}

static void remember(int fd, const struct kvm_xen_vcpu_attr *timer)
{
	if (getenv("TAKES") && fd < MAX_FD)
		came[fd].timer = *timer;
}

/* The clock is what it was by now. */
static void begin(int fd)
{
	came[fd].ran = 1;
	give_times(fd);
	ask(fd, KVM_XEN_VCPU_SET_ATTR, &came[fd].timer, "setting a timer");
}

static int on_ioctl(int fd, unsigned long request, void *argument)
{
	struct kvm_xen_vcpu_attr *it = argument;

	if (request == KVM_XEN_VCPU_GET_ATTR && it->type == KVM_XEN_VCPU_ATTR_TYPE_TIMER)
		keep_times(fd);
	if (request == KVM_XEN_VCPU_SET_ATTR && it->type == KVM_XEN_VCPU_ATTR_TYPE_TIMER)
		remember(fd, it);
	if (request == KVM_RUN && fd < MAX_FD && came[fd].timer.type && !came[fd].ran)
		begin(fd);
	return next_ioctl(fd, request, argument);
}
