// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into QEMU: takes along what QEMU leaves behind when it migrates a guest that was made for Xen.
 *
 * Times: QEMU asks each vCPU for its timer when it has stopped. Then this asks for the times of its states, which
 * QEMU does not know of, and keeps them in the file that the variable LEAVES names. Before the vCPU first runs
 * in the QEMU that the guest comes to, it gets the times from the file that TAKES names.
 *
 * The timer: QEMU sets it before it sets the clock that the timer goes by. So it is set once more.
 *
 * Events: KVM's log does not tell that it has written an event to the page which the guest shares with Xen, and
 * QEMU does not know that it has to send that page in any case. The last events may be missing. Or they are in
 * the page, and the interrupt which tells the vCPU of them came after QEMU had asked for the state of its APIC. So
 * each vCPU begins with that interrupt, and with the events that KVM itself sends, of the timer and from vCPU to
 * vCPU: a guest has to stand one too many.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "ioctl.h"

#define MAX_FD 1024
#define MAX_PORTS 128
/* Where a device writes to when it interrupts. */
#define MSI_ADDRESS 0xfee00000u

/*
 * Of the vCPU behind a descriptor: the timer that QEMU has set, the interrupt that tells of events, and whether
 * the vCPU has run since.
 */
static struct {
	struct kvm_xen_vcpu_attr timer;
	int vector;
	int ran;
} came[MAX_FD];

/* Where events from vCPU to vCPU go (port 0 is none), and the VM's descriptor. */
static struct {
	unsigned int port, vcpu;
} calls[MAX_PORTS];
static int vm;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void ask(int fd, unsigned long request, void *it, const char *what)
{
	if (next_ioctl(fd, request, it))
		fail(what);
}

static unsigned int vcpu_number(int fd)
{
	struct kvm_xen_vcpu_attr id = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID };

	ask(fd, KVM_XEN_VCPU_GET_ATTR, &id, "asking which vCPU this is");
	return id.u.vcpu_id;
}

/* Where the file has the vCPU's times. */
static off_t place(int fd)
{
	return vcpu_number(fd) * sizeof(struct kvm_xen_vcpu_attr);
}

/*
 * C counts some time twice when it is preempted while it counts (docs/upstream/09-runstate-twice.md), and KVM
 * takes no times that do not add up. What is too much goes off the time that the vCPU has run. Where the variable
 * EXACT is set, KVM must count right.
 */
static void add_up(struct kvm_xen_vcpu_attr *times)
{
	long long excess = times->u.runstate.time_running + times->u.runstate.time_runnable +
			   times->u.runstate.time_blocked + times->u.runstate.time_offline -
			   times->u.runstate.state_entry_time;
	long long ran = times->u.runstate.time_running;

	if (!excess)
		return;
	fprintf(stderr, "KVM has counted %lld ns twice\n", excess);
	if (getenv("EXACT") || excess < 0 || excess > ran)
		_exit(1);
	times->u.runstate.time_running = ran - excess;
}

static void keep_times(int fd)
{
	struct kvm_xen_vcpu_attr times = { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA };
	int file = open(getenv("LEAVES"), O_WRONLY | O_CREAT, 0600);

	ask(fd, KVM_XEN_VCPU_GET_ATTR, &times, "asking for times");
	add_up(&times);
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

static void remember(int fd, const struct kvm_xen_vcpu_attr *it)
{
	if (!getenv("TAKES") || fd >= MAX_FD)
		return;
	if (it->type == KVM_XEN_VCPU_ATTR_TYPE_TIMER)
		came[fd].timer = *it;
	if (it->type == KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR)
		came[fd].vector = it->u.vector;
}

/* QEMU takes ports away one by one, and moves none. */
static void remember_call(int fd, const struct kvm_xen_hvm_attr *it)
{
	unsigned int port = it->u.evtchn.send_port;

	vm = fd;
	if (port >= MAX_PORTS || it->u.evtchn.flags & ~KVM_XEN_EVTCHN_DEASSIGN) {
		fprintf(stderr, "port %u is not one that this library knows\n", port);
		_exit(1);
	}
	calls[port].port = it->u.evtchn.flags ? 0 : it->u.evtchn.deliver.port.port;
	calls[port].vcpu = it->u.evtchn.deliver.port.vcpu;
}

static void send(unsigned int port, unsigned int vcpu)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = port,
		.vcpu = vcpu,
		.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	if (port)
		ask(vm, KVM_XEN_HVM_EVTCHN_SEND, &event, "sending an event");
}

/* A vCPU has the number of its APIC. */
static void interrupt(unsigned int vcpu, int vector)
{
	struct kvm_msi msi = { .address_lo = MSI_ADDRESS | vcpu << 12, .data = vector };

	if (vector && next_ioctl(vm, KVM_SIGNAL_MSI, &msi) < 0)
		fail("telling a vCPU of events");
}

static void send_all(int fd)
{
	unsigned int vcpu = vcpu_number(fd);

	send(came[fd].timer.u.timer.port, vcpu);
	for (int i = 0; i < MAX_PORTS; i++)
		if (calls[i].vcpu == vcpu)
			send(calls[i].port, vcpu);
	interrupt(vcpu, came[fd].vector);
}

/* The clock is what it was by now. */
static void begin(int fd)
{
	came[fd].ran = 1;
	give_times(fd);
	ask(fd, KVM_XEN_VCPU_SET_ATTR, &came[fd].timer, "setting a timer");
	send_all(fd);
}

static int on_ioctl(int fd, unsigned long request, void *argument)
{
	struct kvm_xen_vcpu_attr *it = argument;
	struct kvm_xen_hvm_attr *of_vm = argument;

	if (request == KVM_XEN_HVM_SET_ATTR && of_vm->type == KVM_XEN_ATTR_TYPE_EVTCHN)
		remember_call(fd, of_vm);
	if (request == KVM_XEN_VCPU_GET_ATTR && it->type == KVM_XEN_VCPU_ATTR_TYPE_TIMER)
		keep_times(fd);
	if (request == KVM_XEN_VCPU_SET_ATTR)
		remember(fd, it);
	if (request == KVM_RUN && fd < MAX_FD && came[fd].timer.type && !came[fd].ran)
		begin(fd);
	return next_ioctl(fd, request, argument);
}
