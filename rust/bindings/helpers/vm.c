// SPDX-License-Identifier: GPL-2.0

/* The VM, its memory slots and its vCPUs. */

__kvmrs_helper bool kvmrs_is_nx_huge_page_enabled(struct kvm *kvm)
{
	return is_nx_huge_page_enabled(kvm);
}

__kvmrs_helper bool kvmrs_slot_dirty_track_enabled(const struct kvm_memory_slot *slot)
{
	return kvm_slot_dirty_track_enabled(slot);
}

__kvmrs_helper bool kvmrs_slot_is_invalid(const struct kvm_memory_slot *slot)
{
	return slot->flags & KVM_MEMSLOT_INVALID;
}

__kvmrs_helper bool kvmrs_slot_is_apic_access_page(const struct kvm_memory_slot *slot)
{
	return slot->id == APIC_ACCESS_PAGE_PRIVATE_MEMSLOT;
}

__kvmrs_helper bool kvmrs_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	/*
	 * Other VMs cannot make memory private, so they need not pay for the
	 * lookup of its attributes.
	 */
	return kvm_arch_has_private_mem(kvm) && kvm_mem_is_private(kvm, gfn);
}

__kvmrs_helper void kvmrs_slots_assert_held(struct kvm *kvm)
{
	lockdep_assert(srcu_read_lock_held(&kvm->srcu) ||
		       lockdep_is_held(&kvm->slots_lock));
}

__kvmrs_helper void kvmrs_slots_lock_assert_held(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->slots_lock);
}

/* NULL if there is no such address space. */
__kvmrs_helper struct kvm_memslots *kvmrs_memslots(struct kvm *kvm, int as_id)
{
	if (as_id < 0 || as_id >= kvm_arch_nr_memslot_as_ids(kvm))
		return NULL;
	return __kvm_memslots(kvm, as_id);
}

/* NULL if there is none, or no such address space. */
__kvmrs_helper struct kvm_memory_slot *kvmrs_find_slot(struct kvm *kvm, int as_id, gfn_t gfn)
{
	struct kvm_memslots *slots = kvmrs_memslots(kvm, as_id);

	return slots ? __gfn_to_memslot(slots, gfn) : NULL;
}

__kvmrs_helper bool kvmrs_slot_is_logged_clean(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return slot->dirty_bitmap && gfn - slot->base_gfn < slot->npages &&
	       !test_bit_le(gfn - slot->base_gfn, slot->dirty_bitmap);
}

/* Words of a log that are looked at together. */
#define KVMRS_LOG_ROW 8

/* Takes bits out of a word of a log.  Most words have none of them, and cost no locked instruction. */
static __always_inline unsigned long kvmrs_take_word(unsigned long *word, unsigned long wanted)
{
	if (!(READ_ONCE(*word) & wanted))
		return 0;
	return wanted & atomic_long_fetch_andnot(wanted, (atomic_long_t *)word);
}

/* Out of line, as the compiler would prepare for it in front of each row. */
static noinline void kvmrs_take_row(unsigned long *log, unsigned long *words)
{
	int i;

	unrolled_count(KVMRS_LOG_ROW)
	for (i = 0; i < KVMRS_LOG_ROW; i++) {
		if (words[i])
			words[i] &= atomic_long_fetch_andnot(words[i], (atomic_long_t *)&log[i]);
	}
}

static __always_inline unsigned long kvmrs_any_in_row(const unsigned long *words)
{
	unsigned long any = 0;
	int i;

	for (i = 0; i < KVMRS_LOG_ROW; i++)
		any |= words[i];
	return any;
}

/*
 * Takes bits out of a row of a log.  Leaves in @words what was taken: what comes into the log meanwhile may stay there.
 */
static __always_inline void kvmrs_look_at_row(unsigned long *log, unsigned long *words, bool all)
{
	unsigned long any = 0;
	int i;

	/* Who names pages mostly names few. */
	if (!all && !kvmrs_any_in_row(words))
		return;
	for (i = 0; i < KVMRS_LOG_ROW; i++) {
		words[i] = READ_ONCE(log[i]) & (all ? ~0ul : words[i]);
		any |= words[i];
	}
	if (unlikely(any))
		kvmrs_take_row(log, words);
}

__kvmrs_helper void kvmrs_slot_take_log(struct kvm_memory_slot *slot, unsigned long first,
					unsigned long *words, unsigned long nr, bool all)
{
	unsigned long len = slot->dirty_bitmap ? BITS_TO_LONGS(slot->npages) : 0;
	unsigned long logged = first < len ? min(nr, len - first) : 0;
	/* It stays while slots_lock is held, which the compiler cannot know. */
	unsigned long *log = slot->dirty_bitmap + first;
	unsigned long i;

	for (i = 0; i + KVMRS_LOG_ROW <= logged; i += KVMRS_LOG_ROW)
		kvmrs_look_at_row(&log[i], &words[i], all);
	for (; i < logged; i++)
		words[i] = kvmrs_take_word(&log[i], all ? ~0ul : words[i]);
	memset(words + logged, 0, (nr - logged) * sizeof(*words));
}

__kvmrs_helper u64 kvmrs_vcpu_memslots_generation(struct kvm_vcpu *vcpu)
{
	return kvm_vcpu_memslots(vcpu)->generation;
}

/* kvm_memslots(), but without a guard against speculation: the index is a constant. */
__kvmrs_helper u64 kvmrs_memslots_generation(struct kvm *kvm)
{
	return srcu_dereference_check(kvm->memslots[0], &kvm->srcu,
				      lockdep_is_held(&kvm->slots_lock) ||
				      !refcount_read(&kvm->users_count))->generation;
}

__kvmrs_helper bool kvmrs_logs_begin_dirty(struct kvm *kvm)
{
	return kvm_dirty_log_manual_protect_and_init_set(kvm);
}

__kvmrs_helper bool kvmrs_splits_eagerly(void)
{
	return READ_ONCE(eager_page_split);
}

__kvmrs_helper bool kvmrs_has_rmaps(struct kvm *kvm)
{
	return kvm_memslots_have_rmaps(kvm);
}

__kvmrs_helper gfn_t kvmrs_mmu_max_gfn(void)
{
	return kvm_mmu_max_gfn();
}

/*
 * Refuses further use of a VM whose state is wrong, and warns once a VM.
 * KVM_BUG_ON() warns once for each place in the source, and here is the only
 * one: the second broken VM of a boot would be silent.
 */
__kvmrs_helper void kvmrs_vm_bug(struct kvm *kvm)
{
	if (WARN_ON(!READ_ONCE(kvm->vm_bugged)))
		kvm_vm_bugged(kvm);
}
