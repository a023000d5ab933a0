// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_KVM_XEN

#include <xen/interface/xen.h>

#include <xen/interface/vcpu.h>

#include "xen.h"

/* Both layouts of a struct's field. */
#define XEN_OFFSETS(name, type, native, compat)						\
	do {										\
		CONST_AS(usize, XEN_NATIVE_##name, offsetof(struct type, native));	\
		CONST_AS(usize, XEN_COMPAT_##name, offsetof(struct compat_##type, compat)); \
	} while (0)

static void __used xen_layout(void)
{
	OFFSET(kvm_arch, xen);
	SIZE(kvm_xen);
	OFFSET(kvm_xen, long_mode);
	OFFSET(kvm_xen, runstate_update_flag);
	OFFSET(kvm_vcpu_arch, xen);
	SIZE(kvm_vcpu_xen);
	OFFSET(kvm_vcpu_xen, current_runstate);
	OFFSET(kvm_vcpu_xen, runstate_cache);
	OFFSET(kvm_vcpu_xen, runstate2_cache);
	OFFSET(kvm_vcpu_xen, last_steal);
	OFFSET(kvm_vcpu_xen, runstate_entry_time);
	OFFSET(kvm_vcpu_xen, runstate_times);

	/* What guests see, as rust/kvm/xen/layout.rs has it. */
	XEN_OFFSETS(RUNSTATE_STATE, vcpu_runstate_info, state, state);
	XEN_OFFSETS(ENTRY_TIME, vcpu_runstate_info, state_entry_time, state_entry_time);
	CONST_AS(usize, XEN_NATIVE_RUNSTATE, sizeof(struct vcpu_runstate_info));
	CONST_AS(usize, XEN_COMPAT_RUNSTATE, sizeof(struct compat_vcpu_runstate_info));

	/* The times follow the entry time, and its last byte has the bit for updates. */
	CONST_AS(usize, XEN_TIMES_BEHIND_ENTRY, offsetof(struct vcpu_runstate_info, time) -
		 offsetof(struct vcpu_runstate_info, state_entry_time));
	CONST_AS(usize, XEN_COMPAT_TIMES_BEHIND_ENTRY,
		 offsetof(struct compat_vcpu_runstate_info, time) -
		 offsetof(struct compat_vcpu_runstate_info, state_entry_time));
	CONST_AS(u8, XEN_UPDATE_IN_BYTE, XEN_RUNSTATE_UPDATE >> 56);

	CONST(u32, RUNSTATE_running);
	CONST(u32, RUNSTATE_runnable);
	CONST(u32, RUNSTATE_blocked);
	CONST(u32, RUNSTATE_offline);
}

#endif
