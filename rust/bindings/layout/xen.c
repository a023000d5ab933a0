// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_KVM_XEN

#include <xen/interface/event_channel.h>
#include <xen/interface/sched.h>
#include <xen/interface/vcpu.h>
#include <xen/interface/version.h>
#include <xen/interface/xen.h>

#include "xen.h"

/* Both layouts of a struct's field. */
#define XEN_OFFSETS(name, type, native, compat)						\
	do {										\
		CONST_AS(usize, XEN_NATIVE_##name, offsetof(struct type, native));	\
		CONST_AS(usize, XEN_COMPAT_##name, offsetof(struct compat_##type, compat)); \
	} while (0)

#define XEN_SIZES(name, type)								\
	do {										\
		CONST_AS(usize, XEN_NATIVE_##name, sizeof(struct type));		\
		CONST_AS(usize, XEN_COMPAT_##name, sizeof(struct compat_##type));	\
	} while (0)

static void __used xen_layout(void)
{
	OFFSET(kvm_arch, xen);
	SIZE(kvm_xen);
	OFFSET(kvm_xen, long_mode);
	OFFSET(kvm_xen, runstate_update_flag);
	OFFSET(kvm_xen, shinfo_cache);
	OFFSET(kvm_xen, hvm_config);
	OFFSET(kvm_xen, xen_version);
	SIZE(kvm_xen_hvm_config);
	OFFSET(kvm_xen_hvm_config, blob_addr_32);
	OFFSET(kvm_xen_hvm_config, blob_addr_64);
	OFFSET(kvm_xen_hvm_config, blob_size_32);
	OFFSET(kvm_xen_hvm_config, blob_size_64);
	SIZE(kvm_xen_vcpu_attr);
	OFFSET(kvm_xen_vcpu_attr, u);
	SIZE(kvm_xen_hvm_attr);
	OFFSET(kvm_xen_hvm_attr, u);
	SIZE(kvm_xen_evtchn);
	OFFSET(kvm_xen_evtchn, port);
	OFFSET(kvm_vcpu_arch, xen);
	SIZE(kvm_vcpu_xen);
	OFFSET(kvm_vcpu_xen, current_runstate);
	OFFSET(kvm_vcpu_xen, runstate_cache);
	OFFSET(kvm_vcpu_xen, runstate2_cache);
	OFFSET(kvm_vcpu_xen, last_steal);
	OFFSET(kvm_vcpu_xen, runstate_entry_time);
	OFFSET(kvm_vcpu_xen, runstate_times);
	OFFSET(kvm_vcpu_xen, vcpu_info_cache);
	OFFSET(kvm_vcpu_xen, evtchn_pending_sel);
	OFFSET(kvm_vcpu_xen, upcall_vector);
	OFFSET(kvm_vcpu_xen, poll_evtchn);
	OFFSET(kvm_vcpu_xen, vcpu_time_info_cache);
	OFFSET(kvm_vcpu_xen, vcpu_id);
	OFFSET(kvm_vcpu_xen, timer_virq);
	OFFSET(kvm_vcpu_xen, timer_expires);
	OFFSET(kvm_vcpu_xen, timer_pending);
	OFFSET(kvm_vcpu_xen, timer);
	OFFSET(kvm_vcpu_xen, hypercall_rip);
	OFFSET(kvm_vcpu_xen, runstate_owed);

	/* What guests see, as rust/kvm/xen/layout.rs has it. */
	XEN_OFFSETS(SELECTOR, vcpu_info, evtchn_pending_sel, evtchn_pending_sel);
	XEN_OFFSETS(PENDING, shared_info, evtchn_pending, evtchn_pending);
	XEN_OFFSETS(MASK, shared_info, evtchn_mask, evtchn_mask);
	CONST_AS(usize, XEN_CLOCK_SECONDS, offsetof(struct pvclock_wall_clock, sec));
	CONST_AS(usize, XEN_CLOCK_NANOSECONDS, offsetof(struct pvclock_wall_clock, nsec));
	XEN_OFFSETS(WALL_CLOCK, shared_info, wc, wc);
	XEN_OFFSETS(WALL_CLOCK_HIGH, shared_info, wc_sec_hi, arch.wc_sec_hi);
	XEN_OFFSETS(RUNSTATE_STATE, vcpu_runstate_info, state, state);
	XEN_OFFSETS(ENTRY_TIME, vcpu_runstate_info, state_entry_time, state_entry_time);
	XEN_SIZES(RUNSTATE, vcpu_runstate_info);
	XEN_OFFSETS(POLL_COUNT, sched_poll, nr_ports, nr_ports);
	XEN_OFFSETS(POLL_TIMEOUT, sched_poll, timeout, timeout);
	XEN_SIZES(POLL, sched_poll);
	XEN_OFFSETS(UPCALL_PENDING, vcpu_info, evtchn_upcall_pending, evtchn_upcall_pending);
	XEN_OFFSETS(VCPU_TIME, vcpu_info, time, time);
	XEN_SIZES(VCPU_INFO, vcpu_info);

	CONST_AS(u32, XEN_NATIVE_WORD_BITS,
		 8 * sizeof_field(struct vcpu_info, evtchn_pending_sel));
	CONST_AS(u32, XEN_COMPAT_WORD_BITS,
		 8 * sizeof_field(struct compat_vcpu_info, evtchn_pending_sel));
	CONST_AS(u32, XEN_NATIVE_PORTS, 8 * sizeof_field(struct shared_info, evtchn_pending));
	CONST_AS(u32, XEN_COMPAT_PORTS,
		 8 * sizeof_field(struct compat_shared_info, evtchn_pending));

	/* xen.c has the other one, without the padding. */
	CONST_AS(usize, XEN_NATIVE_SINGLESHOT, sizeof(struct vcpu_set_singleshot_timer));
	CONST_AS(usize, XEN_COMPAT_SINGLESHOT,
		 offsetofend(struct vcpu_set_singleshot_timer, flags));

	/* The times follow the entry time, and its last byte has the bit for updates. */
	CONST_AS(usize, XEN_TIMES_BEHIND_ENTRY, offsetof(struct vcpu_runstate_info, time) -
		 offsetof(struct vcpu_runstate_info, state_entry_time));
	CONST_AS(usize, XEN_COMPAT_TIMES_BEHIND_ENTRY,
		 offsetof(struct compat_vcpu_runstate_info, time) -
		 offsetof(struct compat_vcpu_runstate_info, state_entry_time));
	CONST_AS(u8, XEN_UPDATE_IN_BYTE, XEN_RUNSTATE_UPDATE >> 56);

	/* What userspace and guests say, as xen/ports.rs and xen/hypercall.rs have it. */
	CONST(u64, KVM_XEN_INVALID_GFN);
	CONST(u64, KVM_XEN_INVALID_GPA);
	CONST(u32, KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL);
	CONST(u32, EVTCHNSTAT_ipi);
	CONST(u32, EVTCHNSTAT_interdomain);
	CONST(u32, __HYPERVISOR_set_timer_op);
	CONST(u32, __HYPERVISOR_xen_version);
	CONST(u32, __HYPERVISOR_vcpu_op);
	CONST(u32, __HYPERVISOR_sched_op);
	CONST(u32, __HYPERVISOR_event_channel_op);
	CONST(u32, XENVER_version);
	CONST(u32, EVTCHNOP_send);
	CONST(u32, SCHEDOP_yield);
	CONST(u32, SCHEDOP_poll);
	CONST(u32, VCPUOP_set_singleshot_timer);
	CONST(u32, VCPUOP_stop_singleshot_timer);

	CONST(u32, RUNSTATE_running);
	CONST(u32, RUNSTATE_runnable);
	CONST(u32, RUNSTATE_blocked);
	CONST(u32, RUNSTATE_offline);
}

#endif
