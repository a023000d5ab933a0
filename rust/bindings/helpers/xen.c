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
