// SPDX-License-Identifier: GPL-2.0

/* Pfn caches: their locks and list, the page, and what is in it. */

__kvmrs_helper void kvmrs_gpc_lock(struct gfn_to_pfn_cache *gpc)
{
	mutex_lock(&gpc->refresh_lock);
}

__kvmrs_helper bool kvmrs_gpc_lock_killable(struct gfn_to_pfn_cache *gpc)
{
	return !mutex_lock_killable(&gpc->refresh_lock);
}

__kvmrs_helper void kvmrs_gpc_unlock(struct gfn_to_pfn_cache *gpc)
{
	mutex_unlock(&gpc->refresh_lock);
}

__kvmrs_helper void kvmrs_gpc_list_lock(struct kvm *kvm)
{
	spin_lock(&kvm->gpc_lock);
}

__kvmrs_helper void kvmrs_gpc_list_unlock(struct kvm *kvm)
{
	spin_unlock(&kvm->gpc_lock);
}

__kvmrs_helper void kvmrs_gpc_list_add(struct gfn_to_pfn_cache *gpc)
{
	spin_lock(&gpc->kvm->gpc_lock);
	list_add(&gpc->list, &gpc->kvm->gpc_list);
	spin_unlock(&gpc->kvm->gpc_lock);
}

__kvmrs_helper void kvmrs_gpc_list_del(struct gfn_to_pfn_cache *gpc)
{
	spin_lock(&gpc->kvm->gpc_lock);
	list_del(&gpc->list);
	spin_unlock(&gpc->kvm->gpc_lock);
}

/* The current task may sleep, and has the VM's address space. */
__kvmrs_helper bool kvmrs_may_sleep_in(struct kvm *kvm)
{
	might_sleep();
	return current->mm == kvm->mm;
}

__kvmrs_helper bool kvmrs_is_kernel_thread(void)
{
	return current->flags & PF_KTHREAD;
}

__kvmrs_helper bool kvmrs_has_mm(void)
{
	return current->mm;
}

__kvmrs_helper kvm_pfn_t kvmrs_gpc_look_up(struct gfn_to_pfn_cache *gpc, struct page **page)
{
	struct kvm_follow_pfn kfp = {
		.gfn = gpa_to_gfn(gpc->gpa),
		.flags = FOLL_WRITE,
		.hva = gpc->uhva,
		.refcounted_page = page,
	};

	return hva_to_pfn(&kfp);
}

/* 64-bit kernels have all memory mapped, and the TDP MMU needs one. */
__kvmrs_helper void *kvmrs_gpc_map(kvm_pfn_t pfn)
{
	if (pfn_valid(pfn))
		return page_address(pfn_to_page(pfn));
	return memremap(pfn_to_hpa(pfn), PAGE_SIZE, MEMREMAP_WB);
}

__kvmrs_helper void kvmrs_gpc_unmap(kvm_pfn_t pfn, void *base)
{
	if (!pfn_valid(pfn))
		memunmap(base);
}

__kvmrs_helper kvm_pfn_t kvmrs_pfn_err_fault(void)
{
	return KVM_PFN_ERR_FAULT;
}

__kvmrs_helper bool kvmrs_is_error_hva(unsigned long hva)
{
	return kvm_is_error_hva(hva);
}

__kvmrs_helper unsigned long kvmrs_bad_hva(void)
{
	return KVM_HVA_ERR_BAD;
}

__kvmrs_helper u32 kvmrs_guest_read_u32(const u32 *from)
{
	return READ_ONCE(*from);
}

__kvmrs_helper void kvmrs_guest_write_u32(u32 *to, u32 value)
{
	WRITE_ONCE(*to, value);
}

__kvmrs_helper u8 kvmrs_guest_read_u8(const u8 *from)
{
	return READ_ONCE(*from);
}

/*
 * test_and_set_bit() with an operand of 32 bits: @word is aligned to that, and may be
 * the last one of a page.
 */
__kvmrs_helper bool kvmrs_guest_test_and_set_bit(u32 *word, u32 bit)
{
	return GEN_BINARY_RMWcc(LOCK_PREFIX "btsl", *word, c, "Ir", bit);
}

__kvmrs_helper void kvmrs_guest_write_u8(u8 *to, u8 value)
{
	WRITE_ONCE(*to, value);
}

__kvmrs_helper void kvmrs_guest_write(void *to, const void *from, unsigned long len)
{
	memcpy(to, from, len);
}

/* Killed while waiting, and waking who waits. */

__kvmrs_helper bool kvmrs_is_being_killed(void)
{
	return fatal_signal_pending(current);
}

__kvmrs_helper void kvmrs_wake_up_all(struct wait_queue_head *queue)
{
	if (wq_has_sleeper(queue))
		wake_up_all(queue);
}

__kvmrs_helper void kvmrs_preempt_disable(void)
{
	preempt_disable();
}

__kvmrs_helper void kvmrs_preempt_enable(void)
{
	preempt_enable();
}
