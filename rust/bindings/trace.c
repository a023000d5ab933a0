// SPDX-License-Identifier: GPL-2.0
/*
 * Entry points of KVM's own tracepoints, for Rust.
 *
 * The events belong to kvm.ko, so CREATE_TRACE_POINTS, which would define them
 * a second time, must stay unset. Rust tests an event's static key itself and
 * calls these only while the event is enabled.
 */

#include <linux/kvm_host.h>

#include <trace/events/kvm.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "mmu/mmutrace.h"

__DEFINE_RUST_DO_TRACE(fast_page_fault,
		       TP_PROTO(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault,
				u64 *sptep, u64 old_spte, int ret),
		       TP_ARGS(vcpu, fault, sptep, old_spte, ret))

__DEFINE_RUST_DO_TRACE(kvm_mmu_get_page,
		       TP_PROTO(struct kvm_mmu_page *sp, bool created),
		       TP_ARGS(sp, created))

__DEFINE_RUST_DO_TRACE(kvm_mmu_prepare_zap_page,
		       TP_PROTO(struct kvm_mmu_page *sp),
		       TP_ARGS(sp))

__DEFINE_RUST_DO_TRACE(kvm_mmu_set_spte,
		       TP_PROTO(int level, gfn_t gfn, u64 *sptep),
		       TP_ARGS(level, gfn, sptep))

__DEFINE_RUST_DO_TRACE(kvm_mmu_split_huge_page,
		       TP_PROTO(u64 gfn, u64 spte, int level, int errno),
		       TP_ARGS(gfn, spte, level, errno))

__DEFINE_RUST_DO_TRACE(kvm_mmu_spte_requested,
		       TP_PROTO(struct kvm_page_fault *fault, u8 access),
		       TP_ARGS(fault, access))

__DEFINE_RUST_DO_TRACE(kvm_tdp_mmu_spte_changed,
		       TP_PROTO(int as_id, gfn_t gfn, int level, u64 old_spte, u64 new_spte),
		       TP_ARGS(as_id, gfn, level, old_spte, new_spte))

__DEFINE_RUST_DO_TRACE(mark_mmio_spte,
		       TP_PROTO(u64 *sptep, gfn_t gfn, u64 spte),
		       TP_ARGS(sptep, gfn, spte))

__DEFINE_RUST_DO_TRACE(kvm_unmap_hva_range,
		       TP_PROTO(unsigned long start, unsigned long end),
		       TP_ARGS(start, end))

__DEFINE_RUST_DO_TRACE(kvm_age_hva,
		       TP_PROTO(unsigned long start, unsigned long end),
		       TP_ARGS(start, end))

__DEFINE_RUST_DO_TRACE(kvm_test_age_hva,
		       TP_PROTO(unsigned long hva),
		       TP_ARGS(hva))
