// SPDX-License-Identifier: GPL-2.0

/* What a slot's guest_memfd has. */

/* Whether a fault takes the page of gfn from there, and not from what the host maps. */
__kvmrs_helper bool kvmrs_is_from_gmem(struct kvm *kvm, const struct kvm_memory_slot *slot,
				       gfn_t gfn)
{
	return kvm_slot_has_gmem(slot) &&
	       (kvm_memslot_is_gmem_only(slot) || kvm_mem_is_private(kvm, gfn));
}

static __always_inline bool __kvmrs_gmem_has(struct address_space *mapping, pgoff_t index,
					     int level, kvm_pfn_t pfn)
{
	struct folio *folio = filemap_get_folio(mapping, index);
	bool has;

	if (IS_ERR(folio))
		return false;
	has = page_to_pfn(folio_file_page(folio, index)) == pfn &&
	      folio_nr_pages(folio) >= KVM_PAGES_PER_HPAGE(level);
	folio_put(folio);
	return has;
}

/*
 * Whether the file has pfn for gfn, in a folio of that level or a larger one.
 * The caller holds kvm->srcu or slots_lock, as for kvm_gmem_get_file().  Once
 * nobody has the file any more, KVM is about to zap what maps its pages, and
 * then forgets the file: until then anything is right.
 */
__kvmrs_helper bool kvmrs_gmem_has(struct kvm_memory_slot *slot, gfn_t gfn, int level,
				   kvm_pfn_t pfn)
{
	struct file *file = get_file_active(&slot->gmem.file);
	bool has;

	if (!file)
		return READ_ONCE(slot->gmem.file);
	has = __kvmrs_gmem_has(file->f_mapping, gfn - slot->base_gfn + slot->gmem.pgoff, level,
			       pfn);
	/* If this is the last reference, the file goes when the task leaves the kernel. */
	fput(file);
	return has;
}
