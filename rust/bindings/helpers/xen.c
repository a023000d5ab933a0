// SPDX-License-Identifier: GPL-2.0

/* Xen guests. */

#ifdef CONFIG_KVM_XEN

__kvmrs_helper u64 kvmrs_run_delay(void)
{
	return current->sched_info.run_delay;
}

__kvmrs_helper bool kvmrs_test_and_set_bit(u32 bit, unsigned long *word)
{
	return test_and_set_bit(bit, word);
}

__kvmrs_helper void kvmrs_clear_bits(u64 bits, unsigned long *word)
{
	atomic_long_andnot(bits, (atomic_long_t *)word);
}

/* NULL if there is no such vCPU. Looking by number takes long, so what was found is noted. */
__kvmrs_helper struct kvm_vcpu *kvmrs_xen_target(struct kvm *kvm, struct kvm_xen_evtchn *xe)
{
	int idx = READ_ONCE(xe->vcpu_idx);
	struct kvm_vcpu *vcpu;

	if (idx >= 0)
		return kvm_get_vcpu(kvm, idx);

	vcpu = kvm_get_vcpu_by_id(kvm, xe->vcpu_id);
	if (vcpu)
		WRITE_ONCE(xe->vcpu_idx, vcpu->vcpu_idx);
	return vcpu;
}

#ifdef __BINDGEN__
void kvmrs_xen_interrupt(struct kvm_vcpu *vcpu, u8 vector);
#else
__kvmrs_helper void kvmrs_xen_interrupt(struct kvm_vcpu *vcpu, u8 vector)
{
	struct kvm_lapic_irq irq = {
		.dest_id = vcpu->vcpu_id,
		.vector = vector,
		.dest_mode = APIC_DEST_PHYSICAL,
		.shorthand = APIC_DEST_NOSHORT,
		.delivery_mode = APIC_DM_FIXED,
		.level = 1,
	};

	kvm_irq_delivery_to_apic(vcpu->kvm, NULL, &irq);
}
#endif

__kvmrs_helper void kvmrs_unblock(struct kvm_vcpu *vcpu)
{
	kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
	kvm_vcpu_kick(vcpu);
}

/* The task may sleep as for a page fault, and is not about to sleep for something else. */
__kvmrs_helper bool kvmrs_may_sleep_now(void)
{
	return !faulthandler_disabled() && task_is_running(current);
}

__kvmrs_helper void kvmrs_xen_lock(struct kvm *kvm)
{
	mutex_lock(&kvm->arch.xen.xen_lock);
}

__kvmrs_helper void kvmrs_xen_unlock(struct kvm *kvm)
{
	mutex_unlock(&kvm->arch.xen.xen_lock);
}

/* What the guest's ports lead to. */

__kvmrs_helper void *kvmrs_xen_port_find(struct kvm *kvm, int port)
{
	guard(rcu)();
	return idr_find(&kvm->arch.xen.evtchn_ports, port);
}

__kvmrs_helper void *kvmrs_xen_port_next(struct kvm *kvm, int *port)
{
	return idr_get_next(&kvm->arch.xen.evtchn_ports, port);
}

__kvmrs_helper int kvmrs_xen_port_add(struct kvm *kvm, int port, void *entry)
{
	return idr_alloc(&kvm->arch.xen.evtchn_ports, entry, port, port + 1, GFP_KERNEL);
}

__kvmrs_helper void kvmrs_xen_port_replace(struct kvm *kvm, int port, void *entry)
{
	idr_replace(&kvm->arch.xen.evtchn_ports, entry, port);
}

__kvmrs_helper void kvmrs_xen_port_remove(struct kvm *kvm, int port)
{
	idr_remove(&kvm->arch.xen.evtchn_ports, port);
}

/* Timers and clocks. */

__kvmrs_helper void kvmrs_xen_start_timer(struct kvm_vcpu_xen *xen, u64 at)
{
	hrtimer_start(&xen->timer, ns_to_ktime(at), HRTIMER_MODE_ABS_HARD);
}

__kvmrs_helper void kvmrs_xen_restart_timer(struct kvm_vcpu_xen *xen)
{
	hrtimer_start_expires(&xen->timer, HRTIMER_MODE_ABS_HARD);
}

/* Whether the host's TSC goes on steadily, and the guest's clock by it. */
__kvmrs_helper bool kvmrs_has_steady_clock(struct kvm *kvm)
{
	return cpu_feature_enabled(X86_FEATURE_CONSTANT_TSC) && kvm->arch.use_master_clock;
}

/* The host's clock, and the guest's TSC then. A little later if there is no better way. */
__kvmrs_helper s64 kvmrs_host_clock(struct kvm_vcpu *vcpu, u64 *guest_tsc)
{
	s64 now;
	u64 tsc;

	if (!kvm_get_monotonic_and_clockread(&now, &tsc)) {
		now = ktime_get();
		tsc = rdtsc();
	}
	*guest_tsc = kvm_read_l1_tsc(vcpu, tsc);
	return now;
}

/* A guest's calls, and what userspace sets. */

/* Returns whether the caller runs in 64-bit mode. */
__kvmrs_helper bool kvmrs_xen_registers(struct kvm_vcpu *vcpu, u64 *input, u64 *params)
{
	if (!is_64_bit_hypercall(vcpu)) {
		*input = kvm_eax_read(vcpu);
		params[0] = kvm_ebx_read(vcpu);
		params[1] = kvm_ecx_read(vcpu);
		params[2] = kvm_edx_read(vcpu);
		params[3] = kvm_esi_read(vcpu);
		params[4] = kvm_edi_read(vcpu);
		params[5] = kvm_ebp_read(vcpu);
		return false;
	}

	*input = kvm_rax_read_raw(vcpu);
	params[0] = kvm_rdi_read_raw(vcpu);
	params[1] = kvm_rsi_read_raw(vcpu);
	params[2] = kvm_rdx_read_raw(vcpu);
	params[3] = kvm_r10_read_raw(vcpu);
	params[4] = kvm_r8_read_raw(vcpu);
	params[5] = kvm_r9_read_raw(vcpu);
	return true;
}

#ifdef __BINDGEN__
void kvmrs_trace_xen_hypercall(u8 cpl, u64 input, const u64 *params);
#else
__kvmrs_helper void kvmrs_trace_xen_hypercall(u8 cpl, u64 input, const u64 *params)
{
	trace_kvm_xen_hypercall(cpl, input, params[0], params[1], params[2], params[3], params[4],
				params[5]);
}
#endif

__kvmrs_helper u8 kvmrs_cpl(struct kvm_vcpu *vcpu)
{
	return kvm_x86_call(get_cpl)(vcpu);
}

__kvmrs_helper void kvmrs_set_rax(struct kvm_vcpu *vcpu, u64 value)
{
	kvm_rax_write_raw(vcpu, value);
}

__kvmrs_helper void kvmrs_xen_exit(struct kvm_vcpu *vcpu, bool longmode, u8 cpl, u64 input,
				   const u64 *params)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_XEN;
	run->xen.type = KVM_EXIT_XEN_HCALL;
	run->xen.u.hcall.longmode = longmode;
	run->xen.u.hcall.cpl = cpl;
	run->xen.u.hcall.input = input;
	memcpy(run->xen.u.hcall.params, params, sizeof(run->xen.u.hcall.params));
	vcpu->arch.xen.hypercall_rip = kvm_get_linear_rip(vcpu);
}

__kvmrs_helper u64 kvmrs_xen_result(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->run->xen.u.hcall.result);
}

__kvmrs_helper void kvmrs_renew_clock(struct kvm_vcpu *vcpu)
{
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}

__kvmrs_helper bool kvmrs_is_long_mode(struct kvm_vcpu *vcpu)
{
	return is_long_mode(vcpu);
}

__kvmrs_helper void kvmrs_patch_hypercall(struct kvm_vcpu *vcpu, u8 *to)
{
	kvm_x86_call(patch_hypercall)(vcpu, to);
}

#ifdef __BINDGEN__
void kvmrs_xen_configure(struct kvm *kvm, const struct kvm_xen_hvm_config *config);
#else
__kvmrs_helper void kvmrs_xen_configure(struct kvm *kvm, const struct kvm_xen_hvm_config *config)
{
	kvm_xen_apply_hvm_config(kvm, config);
}
#endif

__kvmrs_helper bool kvmrs_access_ok(unsigned long addr, unsigned long len)
{
	return access_ok((void __user *)addr, len);
}

/* A vCPU that polls for events. */

__kvmrs_helper bool kvmrs_lapic_in_kernel(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.apic;
}

__kvmrs_helper bool kvmrs_read_guest_virt(struct kvm_vcpu *vcpu, u64 addr, void *val, u32 bytes)
{
	struct x86_exception e;

	return kvm_read_guest_virt(vcpu, addr, val, bytes, &e) == X86EMUL_CONTINUE;
}

__kvmrs_helper void kvmrs_set_mp_state(struct kvm_vcpu *vcpu, u32 state)
{
	kvm_set_mp_state(vcpu, state);
}

__kvmrs_helper void kvmrs_start_poll_timer(struct kvm_vcpu *vcpu, u64 timeout)
{
	mod_timer(&vcpu->arch.xen.poll_timer, jiffies + nsecs_to_jiffies(timeout));
}

__kvmrs_helper void kvmrs_stop_poll_timer(struct kvm_vcpu *vcpu)
{
	timer_delete(&vcpu->arch.xen.poll_timer);
}

__kvmrs_helper void kvmrs_vcpu_srcu_lock(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_srcu_read_lock(vcpu);
}

__kvmrs_helper void kvmrs_vcpu_srcu_unlock(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_srcu_read_unlock(vcpu);
}

#endif
