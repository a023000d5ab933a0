// SPDX-License-Identifier: GPL-2.0

static void __used vm_layout(void)
{
	SIZE(kvm);
	OFFSET(kvm, mmu_lock);
	OFFSET(kvm, mm);
	OFFSET(kvm, created_vcpus);
	OFFSET(kvm, stat);
	OFFSET(kvm, arch);
	OFFSET(kvm, users_count);
	OFFSET(kvm, mmu_invalidate_seq);
	OFFSET(kvm, mmu_invalidate_in_progress);
	OFFSET(kvm, mmu_invalidate_range_start);
	OFFSET(kvm, mmu_invalidate_range_end);
	OFFSET(kvm, vm_bugged);
	OFFSET(kvm, srcu);
	OFFSET(kvm, mn_active_invalidate_count);
	OFFSET(kvm, mn_memslots_update_rcuwait);
	OFFSET(kvm, gpc_invalidate_seq);

	SIZE(kvm_arch);
	OFFSET(kvm_arch, vm_type);
	OFFSET(kvm_arch, indirect_shadow_pages);
	OFFSET(kvm_arch, cpu_dirty_log_size);
	OFFSET(kvm_arch, gfn_direct_bits);
	OFFSET(kvm_arch, has_mapped_host_mmio);
	OFFSET(kvm_arch, shadow_mmio_value);
	OFFSET(kvm_arch, tdp_mmu_roots);
	OFFSET(kvm_arch, tdp_mmu_pages_lock);
	OFFSET(kvm_arch, vm_backend_data);

	SIZE(kvm_vm_stat);
	OFFSET(kvm_vm_stat, generic);
	OFFSET(kvm_vm_stat_generic, mmu_notifier_unmatched);
	OFFSET_AS(kvm_vm_stat, pages, __bindgen_anon_1.pages);

	SIZE(kvm_memory_slot);
	OFFSET(kvm_memory_slot, base_gfn);
	OFFSET(kvm_memory_slot, npages);
	OFFSET(kvm_memory_slot, dirty_bitmap);
	OFFSET(kvm_memory_slot, userspace_addr);
	OFFSET(kvm_memory_slot, arch);
	OFFSET(kvm_memory_slot, flags);
	OFFSET(kvm_memory_slot, as_id);
	OFFSET(kvm_memory_slot, hva_node);

	SIZE(kvm_memslots);
	OFFSET(kvm_memslots, hva_tree);
	OFFSET(kvm_memslots, node_idx);

	SIZE(kvm_gfn_range);
	OFFSET(kvm_gfn_range, slot);
	OFFSET(kvm_gfn_range, start);
	OFFSET(kvm_gfn_range, end);
	OFFSET(kvm_gfn_range, arg);
	OFFSET(kvm_gfn_range, attr_filter);
	OFFSET(kvm_gfn_range, may_block);
	OFFSET(kvm_gfn_range, lockless);
}
