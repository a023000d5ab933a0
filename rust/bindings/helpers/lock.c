// SPDX-License-Identifier: GPL-2.0

/* mmu_lock, a rwlock_t, and giving way to others who want it or the CPU. */

__kvmrs_helper void kvmrs_mmu_read_lock(struct kvm *kvm)
{
	read_lock(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_read_unlock(struct kvm *kvm)
{
	read_unlock(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_fault_read_lock(struct kvm_vcpu *vcpu)
{
	kvm_mmu_fault_read_lock(vcpu);
}

__kvmrs_helper void kvmrs_mmu_write_lock(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_write_unlock(struct kvm *kvm)
{
	write_unlock(&kvm->mmu_lock);
}

/*
 * Contention first: it is one load, while the preemption model that decides
 * whether it counts is up to two calls.
 */
__kvmrs_helper bool kvmrs_mmu_lock_needbreak(struct kvm *kvm)
{
	return unlikely(rwlock_is_contended(&kvm->mmu_lock)) &&
	       rwlock_needbreak(&kvm->mmu_lock);
}

__kvmrs_helper bool kvmrs_mmu_cond_resched_read(struct kvm *kvm)
{
	return cond_resched_rwlock_read(&kvm->mmu_lock);
}

__kvmrs_helper bool kvmrs_mmu_cond_resched_write(struct kvm *kvm)
{
	return cond_resched_rwlock_write(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_assert_held_read(struct kvm *kvm)
{
	lockdep_assert_held_read(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_mmu_assert_held_write(struct kvm *kvm)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
}

__kvmrs_helper bool kvmrs_need_resched(void)
{
	return need_resched();
}

__kvmrs_helper void kvmrs_cpu_relax(void)
{
	cpu_relax();
}

/* Keeps slots, tables and entries as they are. */

__kvmrs_helper void kvmrs_hold_still(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	write_lock(&kvm->mmu_lock);
}

__kvmrs_helper void kvmrs_let_go(struct kvm *kvm)
{
	write_unlock(&kvm->mmu_lock);
	mutex_unlock(&kvm->slots_lock);
}

/* mn_invalidate_lock: whether notifiers are under way, which slots must not change. */

__kvmrs_helper void kvmrs_mn_invalidate_lock(struct kvm *kvm)
{
	spin_lock(&kvm->mn_invalidate_lock);
}

__kvmrs_helper void kvmrs_mn_invalidate_unlock(struct kvm *kvm)
{
	spin_unlock(&kvm->mn_invalidate_lock);
}

/* tdp_mmu_pages_lock: roots list and possible-NX-huge-page list. */

__kvmrs_helper void kvmrs_pages_lock_init(struct kvm *kvm)
{
	spin_lock_init(&kvm->arch.tdp_mmu_pages_lock);
}

__kvmrs_helper void kvmrs_pages_lock(struct kvm *kvm)
{
	spin_lock(&kvm->arch.tdp_mmu_pages_lock);
}

__kvmrs_helper void kvmrs_pages_unlock(struct kvm *kvm)
{
	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);
}
