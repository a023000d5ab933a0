// SPDX-License-Identifier: GPL-2.0
/*
 * Constants and struct layouts as the C compiler sees them.
 *
 * This file is compiled to assembly with the kernel's flags and never linked.
 * Each line below leaves one line of Rust in the assembly; the build collects
 * them in layout_generated.rs, part of the crate kvm_bindings. Constants need
 * this because bindgen understands few macros and no value with bit 63 set.
 * A struct that bindgen laid out differently breaks the build there.
 */

#include <linux/stddef.h>

#include "bindings_helper.h"

#define RUST(text, value)	({ asm volatile("\n.ascii \"->" text "\"" : : "i" (value)); })

#define CONST_AS(type, name, value) \
	RUST("pub const " #name ": " #type " = %c0i64 as " #type ";", (s64)(value))
/* Not through CONST_AS(), which would get @name already expanded. */
#define CONST(type, name) \
	RUST("pub const " #name ": " #type " = %c0i64 as " #type ";", (s64)(name))

#define SIZE(type) \
	RUST("const _: () = assert!(::core::mem::size_of::<" #type ">() == %c0);", \
	     sizeof(struct type))

/* @path: the field's name in Rust, where an anonymous union has one. */
#define OFFSET_AS(type, field, path) \
	RUST("const _: () = assert!(::core::mem::offset_of!(" #type ", " #path ") == %c0);", \
	     offsetof(struct type, field))
#define OFFSET(type, field) \
	RUST("const _: () = assert!(::core::mem::offset_of!(" #type ", " #field ") == %c0);", \
	     offsetof(struct type, field))

/* All ones in @field of a shadow page's role. */
#define ROLE_MASK(name, field)							\
	CONST_AS(u32, ROLE_##name, ((union kvm_mmu_page_role){ .field = -1 }).word)

/* Bits of a page table entry, and its special values. */
static void __used spte_constants(void)
{
	CONST(u64, SHADOW_NONPRESENT_VALUE);
	CONST(u64, FROZEN_SPTE);
	CONST(u64, SPTE_MMU_PRESENT_MASK);
	CONST(u64, SPTE_TDP_AD_MASK);
	CONST(u64, SPTE_TDP_AD_ENABLED);
	CONST(u64, SPTE_TDP_AD_DISABLED);
	CONST(u64, SPTE_TDP_AD_WRPROT_ONLY);
	CONST(usize, SPTE_ENT_PER_PAGE);

	CONST(u64, SHADOW_ACC_TRACK_SAVED_BITS_MASK);
	CONST(u32, SHADOW_ACC_TRACK_SAVED_BITS_SHIFT);
	CONST(u32, SHADOW_NONPRESENT_OR_RSVD_MASK_LEN);

	CONST(u64, MMIO_SPTE_GEN_MASK);
	CONST(u64, MMIO_SPTE_GEN_LOW_MASK);
	CONST(u64, MMIO_SPTE_GEN_HIGH_MASK);
	CONST(u32, MMIO_SPTE_GEN_LOW_SHIFT);
	CONST(u32, MMIO_SPTE_GEN_HIGH_SHIFT);

	CONST(u64, DEFAULT_SPTE_HOST_WRITABLE);
	CONST(u64, DEFAULT_SPTE_MMU_WRITABLE);
	CONST(u64, EPT_SPTE_HOST_WRITABLE);
	CONST(u64, EPT_SPTE_MMU_WRITABLE);

	CONST(u64, PT_PRESENT_MASK);
	CONST(u64, PT_WRITABLE_MASK);
	CONST(u64, PT_USER_MASK);
	CONST(u64, PT_ACCESSED_MASK);
	CONST(u64, PT_DIRTY_MASK);
	CONST(u64, PT_PAGE_SIZE_MASK);
	CONST(u64, PT64_NX_MASK);

	CONST(u64, VMX_EPT_READABLE_MASK);
	CONST(u64, VMX_EPT_WRITABLE_MASK);
	CONST(u64, VMX_EPT_EXECUTABLE_MASK);
	CONST(u64, VMX_EPT_USER_EXECUTABLE_MASK);
	CONST(u64, VMX_EPT_RWX_MASK);
	CONST(u64, VMX_EPT_ACCESS_BIT);
	CONST(u64, VMX_EPT_DIRTY_BIT);
	CONST(u64, VMX_EPT_SUPPRESS_VE_BIT);
	CONST(u64, VMX_EPT_MISCONFIG_WX_VALUE);
}

/* Faults, access rights and levels. */
static void __used fault_constants(void)
{
	CONST(u32, ACC_READ_MASK);
	CONST(u32, ACC_WRITE_MASK);
	CONST(u32, ACC_EXEC_MASK);
	CONST(u32, ACC_USER_MASK);
	CONST(u32, ACC_USER_EXEC_MASK);
	CONST(u32, ACC_ALL);

	CONST(u64, PFERR_PRESENT_MASK);
	CONST(u64, PFERR_WRITE_MASK);
	CONST(u64, PFERR_USER_MASK);
	CONST(u64, PFERR_FETCH_MASK);

	CONST(i32, RET_PF_CONTINUE);
	CONST(i32, RET_PF_RETRY);
	CONST(i32, RET_PF_EMULATE);
	CONST(i32, RET_PF_WRITE_PROTECTED);
	CONST(i32, RET_PF_INVALID);
	CONST(i32, RET_PF_FIXED);
	CONST(i32, RET_PF_SPURIOUS);

	CONST(i32, PG_LEVEL_4K);
	CONST(i32, PG_LEVEL_2M);
	CONST(i32, PG_LEVEL_1G);
	CONST(i32, KVM_MAX_HUGEPAGE_LEVEL);
	CONST(i32, PT64_ROOT_4LEVEL);
	CONST(i32, PT64_ROOT_5LEVEL);
	CONST(i32, PT64_ROOT_MAX_LEVEL);
	CONST_AS(u64, KVM_PAGES_PER_2M, KVM_PAGES_PER_HPAGE(PG_LEVEL_2M));
	CONST_AS(u64, KVM_PAGES_PER_1G, KVM_PAGES_PER_HPAGE(PG_LEVEL_1G));
}

/* The kinds of roots, and the fields of a role as masks of its word. */
static void __used root_constants(void)
{
	CONST(kvm_mmu_type, KVM_TDP_MMU);
	CONST(kvm_gfn_range_filter, KVM_FILTER_SHARED);
	CONST(kvm_gfn_range_filter, KVM_FILTER_PRIVATE);
	CONST(u32, KVM_INVALID_ROOTS);
	CONST(u32, KVM_DIRECT_ROOTS);
	CONST(u32, KVM_MIRROR_ROOTS);
	CONST(u32, KVM_VALID_ROOTS);
	CONST(u32, KVM_ALL_ROOTS);
	CONST_AS(u64, INVALID_PAGE, INVALID_PAGE);

	ROLE_MASK(LEVEL, level);
	ROLE_MASK(DIRECT, direct);
	ROLE_MASK(ACCESS, access);
	ROLE_MASK(INVALID, invalid);
	ROLE_MASK(AD_DISABLED, ad_disabled);
	ROLE_MASK(GUEST_MODE, guest_mode);
	ROLE_MASK(IS_MIRROR, is_mirror);
	ROLE_MASK(SMM, smm);
}

static void __used shadow_page_layout(void)
{
	SIZE(kvm_mmu_page);
	OFFSET(kvm_mmu_page, link);
	OFFSET(kvm_mmu_page, tdp_mmu_page);
	OFFSET_AS(kvm_mmu_page, tdp_mmu_scheduled_root_to_zap,
		  __bindgen_anon_1.tdp_mmu_scheduled_root_to_zap);
	OFFSET(kvm_mmu_page, nx_huge_page_disallowed);
	OFFSET(kvm_mmu_page, role);
	OFFSET(kvm_mmu_page, gfn);
	OFFSET(kvm_mmu_page, spt);
	OFFSET_AS(kvm_mmu_page, tdp_mmu_root_count, __bindgen_anon_2.tdp_mmu_root_count);
	OFFSET(kvm_mmu_page, has_mapped_host_mmio);
	OFFSET_AS(kvm_mmu_page, external_spt, __bindgen_anon_3.external_spt);
	OFFSET_AS(kvm_mmu_page, ptep, __bindgen_anon_4.ptep);
	OFFSET(kvm_mmu_page, possible_nx_huge_page_link);
	/* The kernel's headers define rcu_head to callback_head. */
	OFFSET(kvm_mmu_page, callback_head);
}

static void __used fault_layout(void)
{
	SIZE(kvm_page_fault);
	OFFSET(kvm_page_fault, addr);
	OFFSET(kvm_page_fault, error_code);
	OFFSET(kvm_page_fault, prefetch);
	OFFSET(kvm_page_fault, exec);
	OFFSET(kvm_page_fault, write);
	OFFSET(kvm_page_fault, is_tdp);
	OFFSET(kvm_page_fault, is_private);
	OFFSET(kvm_page_fault, nx_huge_page_workaround_enabled);
	OFFSET(kvm_page_fault, huge_page_disallowed);
	OFFSET(kvm_page_fault, max_level);
	OFFSET(kvm_page_fault, req_level);
	OFFSET(kvm_page_fault, goal_level);
	OFFSET(kvm_page_fault, gfn);
	OFFSET(kvm_page_fault, slot);
	OFFSET(kvm_page_fault, mmu_seq);
	OFFSET(kvm_page_fault, pfn);
	OFFSET(kvm_page_fault, map_writable);
}

static void __used vm_layout(void)
{
	SIZE(kvm);
	OFFSET(kvm, mmu_lock);
	OFFSET(kvm, created_vcpus);
	OFFSET(kvm, stat);
	OFFSET(kvm, arch);
	OFFSET(kvm, users_count);
	OFFSET(kvm, mmu_invalidate_seq);
	OFFSET(kvm, mmu_invalidate_in_progress);
	OFFSET(kvm, mmu_invalidate_range_start);
	OFFSET(kvm, mmu_invalidate_range_end);
	OFFSET(kvm, vm_bugged);

	SIZE(kvm_arch);
	OFFSET(kvm_arch, vm_type);
	OFFSET(kvm_arch, cpu_dirty_log_size);
	OFFSET(kvm_arch, gfn_direct_bits);
	OFFSET(kvm_arch, has_mapped_host_mmio);
	OFFSET(kvm_arch, shadow_mmio_value);
	OFFSET(kvm_arch, tdp_mmu_roots);
	OFFSET(kvm_arch, tdp_mmu_pages_lock);

	SIZE(kvm_vm_stat);
	OFFSET_AS(kvm_vm_stat, pages, __bindgen_anon_1.pages);

	SIZE(kvm_memory_slot);
	OFFSET(kvm_memory_slot, base_gfn);
	OFFSET(kvm_memory_slot, npages);
	OFFSET(kvm_memory_slot, arch);
	OFFSET(kvm_memory_slot, flags);
	OFFSET(kvm_memory_slot, as_id);

	SIZE(kvm_gfn_range);
	OFFSET(kvm_gfn_range, slot);
	OFFSET(kvm_gfn_range, start);
	OFFSET(kvm_gfn_range, end);
	OFFSET(kvm_gfn_range, attr_filter);
	OFFSET(kvm_gfn_range, may_block);
}

static void __used vcpu_layout(void)
{
	SIZE(kvm_vcpu);
	OFFSET(kvm_vcpu, kvm);
	OFFSET(kvm_vcpu, arch);
	OFFSET(kvm_vcpu, stat);

	SIZE(kvm_vcpu_arch);
	OFFSET(kvm_vcpu_arch, mmu);
	OFFSET(kvm_vcpu_arch, mmu_shadow_page_cache);
	OFFSET(kvm_vcpu_arch, mmu_page_header_cache);
	OFFSET(kvm_vcpu_arch, mmu_external_spt_cache);

	SIZE(kvm_vcpu_stat);
	OFFSET(kvm_vcpu_stat, pf_mmio_spte_created);

	SIZE(kvm_mmu);
	OFFSET(kvm_mmu, root);
	OFFSET(kvm_mmu, mirror_root_hpa);
	OFFSET(kvm_mmu, root_role);
	OFFSET(kvm_mmu, fmt);
	SIZE(kvm_mmu_root_info);
	OFFSET(kvm_mmu_root_info, pgd);
	OFFSET(kvm_mmu_root_info, hpa);
	SIZE(kvm_page_format);
	OFFSET(kvm_page_format, rsvd_bits_mask);
	OFFSET(kvm_page_format, bad_mt_xwr);
	OFFSET(kvm_page_format, permissions);
}

static void __used backend_layout(void)
{
	SIZE(kvm_mmu_backend_ops);
	OFFSET(kvm_mmu_backend_ops, name);
	OFFSET(kvm_mmu_backend_ops, owner);
	OFFSET(kvm_mmu_backend_ops, vm_types);

#define KVM_MMU_BACKEND_OP(op) OFFSET(kvm_mmu_backend_ops, op)
#include "mmu/backend-ops.h"
}
