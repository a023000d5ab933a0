// SPDX-License-Identifier: GPL-2.0

/* Host MMIO, and the CPU buffers to clear for guests that reach it. */

__kvmrs_helper bool kvmrs_pfn_is_reserved_page(kvm_pfn_t pfn)
{
	return !is_zero_pfn(pfn) && PageReserved(pfn_to_page(pfn));
}

__kvmrs_helper bool kvmrs_pfn_valid(kvm_pfn_t pfn)
{
	return pfn_valid(pfn);
}

__kvmrs_helper bool kvmrs_pfn_is_uncached(kvm_pfn_t pfn)
{
	return !pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn);
}

__kvmrs_helper bool kvmrs_pfn_is_ram(kvm_pfn_t pfn)
{
	return e820__mapped_raw_any(pfn_to_hpa(pfn), pfn_to_hpa(pfn + 1) - 1,
				    E820_TYPE_RAM);
}

__kvmrs_helper bool kvmrs_must_clear_cpu_buf_for_mmio(void)
{
	return cpu_feature_enabled(X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO);
}

__kvmrs_helper bool kvmrs_vcpu_can_access_host_mmio(struct kvm_vcpu *vcpu)
{
	return kvm_vcpu_can_access_host_mmio(vcpu);
}

/* Makes every vCPU leave the guest, and so clear the CPU's buffers. */
__kvmrs_helper void kvmrs_kick_all_vcpus_outside(struct kvm *kvm)
{
	kvm_make_all_cpus_request(kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
}
