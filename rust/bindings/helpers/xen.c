// SPDX-License-Identifier: GPL-2.0

/* Xen guests. */

#ifdef CONFIG_KVM_XEN

__kvmrs_helper u64 kvmrs_run_delay(void)
{
	return current->sched_info.run_delay;
}

#endif
