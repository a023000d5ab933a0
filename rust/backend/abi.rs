// SPDX-License-Identifier: GPL-2.0

//! Constants that the module writes down itself, compared with C's when it is built.
//!
//! Files without kernel types cannot name the bindings, and values with bit 63 set do not come
//! through bindgen at all. The C code reads and writes the same entries, so a difference would be
//! a corruption.

#![forbid(unsafe_code)]

use crate::{
    kvm::{
        spte::{
            AD_DISABLED,
            AD_MASK,
            AD_WRPROT_ONLY,
            FROZEN,
            MMU_PRESENT,
            NONPRESENT,
            PAGE_SIZE,
            READABLE,
            WRITABLE, //
        },
        types::ENTRIES,
        Access,
        Level, //
    },
    pfncache::pvclock,
    tdp_mmu::leaf::{
        GEN_BITS,
        GEN_HIGH_SHIFT,
        GEN_LOW_BITS,
        GEN_LOW_SHIFT,
        L1TF_SHIFT,
        SAVED_ACCESS,
        SAVED_SHIFT, //
    }, //
};
use kvm_bindings as bindings;

macro_rules! same {
    ($($ours:expr => $theirs:ident),* $(,)?) => {$(
        const _: () = assert!(($ours) as u64 == bindings::$theirs as u64);
    )*};
}

// Entries.
same! {
    NONPRESENT.raw() => SHADOW_NONPRESENT_VALUE,
    FROZEN.raw() => FROZEN_SPTE,
    MMU_PRESENT => SPTE_MMU_PRESENT_MASK,
    AD_MASK => SPTE_TDP_AD_MASK,
    AD_DISABLED => SPTE_TDP_AD_DISABLED,
    AD_WRPROT_ONLY => SPTE_TDP_AD_WRPROT_ONLY,
    READABLE => PT_PRESENT_MASK,
    READABLE => VMX_EPT_READABLE_MASK,
    WRITABLE => PT_WRITABLE_MASK,
    WRITABLE => VMX_EPT_WRITABLE_MASK,
    PAGE_SIZE => PT_PAGE_SIZE_MASK,
    ENTRIES => SPTE_ENT_PER_PAGE,
}

// What access-tracked and MMIO entries store.
same! {
    SAVED_ACCESS => SHADOW_ACC_TRACK_SAVED_BITS_MASK,
    SAVED_SHIFT => SHADOW_ACC_TRACK_SAVED_BITS_SHIFT,
    (1u64 << GEN_BITS) - 1 => MMIO_SPTE_GEN_MASK,
    ((1u64 << GEN_LOW_BITS) - 1) << GEN_LOW_SHIFT => MMIO_SPTE_GEN_LOW_MASK,
    GEN_LOW_SHIFT => MMIO_SPTE_GEN_LOW_SHIFT,
    GEN_HIGH_SHIFT - GEN_LOW_BITS => MMIO_SPTE_GEN_HIGH_SHIFT,
    L1TF_SHIFT => SHADOW_NONPRESENT_OR_RSVD_MASK_LEN,
}

// The guest's clock, as words.
same! {
    size_of::<pvclock::Clock>() => PVCLOCK_SIZE,
    pvclock::FLAGS => PVCLOCK_FLAGS_WORD,
    pvclock::GUEST_STOPPED => PVCLOCK_GUEST_STOPPED_IN_WORD,
}

#[cfg(CONFIG_KVM_XEN)]
mod xen {
    //! What Xen guests see.

    use crate::{
        kvm::xen::{
            RunState, COMPAT, NATIVE, RUNSTATE_STATE, TWO_LEVELS, UPCALL_PENDING, VCPU_INFO,
            VCPU_TIME,
        },
        xen::{area, config, hypercall, ports, wallclock}, //
    };
    use kvm_bindings as bindings;

    same! {
        NATIVE.word_bits => XEN_NATIVE_WORD_BITS,
        NATIVE.ports => XEN_NATIVE_PORTS,
        NATIVE.selector => XEN_NATIVE_SELECTOR,
        NATIVE.pending => XEN_NATIVE_PENDING,
        NATIVE.mask => XEN_NATIVE_MASK,
        NATIVE.wall_clock => XEN_NATIVE_WALL_CLOCK,
        NATIVE.wall_clock_high => XEN_NATIVE_WALL_CLOCK_HIGH,
        NATIVE.entry_time => XEN_NATIVE_ENTRY_TIME,
        NATIVE.runstate => XEN_NATIVE_RUNSTATE,
        NATIVE.poll_count => XEN_NATIVE_POLL_COUNT,
        NATIVE.poll_timeout => XEN_NATIVE_POLL_TIMEOUT,
        NATIVE.poll => XEN_NATIVE_POLL,
        NATIVE.singleshot => XEN_NATIVE_SINGLESHOT,
        COMPAT.word_bits => XEN_COMPAT_WORD_BITS,
        COMPAT.ports => XEN_COMPAT_PORTS,
        COMPAT.selector => XEN_COMPAT_SELECTOR,
        COMPAT.pending => XEN_COMPAT_PENDING,
        COMPAT.mask => XEN_COMPAT_MASK,
        COMPAT.wall_clock => XEN_COMPAT_WALL_CLOCK,
        COMPAT.wall_clock_high => XEN_COMPAT_WALL_CLOCK_HIGH,
        COMPAT.entry_time => XEN_COMPAT_ENTRY_TIME,
        COMPAT.runstate => XEN_COMPAT_RUNSTATE,
        COMPAT.poll_count => XEN_COMPAT_POLL_COUNT,
        COMPAT.poll_timeout => XEN_COMPAT_POLL_TIMEOUT,
        COMPAT.poll => XEN_COMPAT_POLL,
        COMPAT.singleshot => XEN_COMPAT_SINGLESHOT,
    }

    same! {
        wallclock::SECONDS => XEN_CLOCK_SECONDS,
        wallclock::NANOSECONDS => XEN_CLOCK_NANOSECONDS,
        config::INTERCEPT_HCALL => KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
        config::EVTCHN_SEND => KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
        config::PVCLOCK_TSC_UNSTABLE => KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE,
        config::MSR_MIN => KVM_XEN_MSR_MIN_INDEX,
        config::MSR_MAX => KVM_XEN_MSR_MAX_INDEX,
        ports::DEASSIGN => KVM_XEN_EVTCHN_DEASSIGN,
        ports::UPDATE => KVM_XEN_EVTCHN_UPDATE,
        ports::RESET => KVM_XEN_EVTCHN_RESET,
        ports::IPI => EVTCHNSTAT_ipi,
        ports::INTERDOMAIN => EVTCHNSTAT_interdomain,
        hypercall::SET_TIMER_OP => __HYPERVISOR_set_timer_op,
        hypercall::XEN_VERSION => __HYPERVISOR_xen_version,
        hypercall::VCPU_OP => __HYPERVISOR_vcpu_op,
        hypercall::SCHED_OP => __HYPERVISOR_sched_op,
        hypercall::EVENT_CHANNEL_OP => __HYPERVISOR_event_channel_op,
        hypercall::XENVER_VERSION => XENVER_version,
        hypercall::EVTCHNOP_SEND => EVTCHNOP_send,
        hypercall::SCHEDOP_YIELD => SCHEDOP_yield,
        hypercall::SCHEDOP_POLL => SCHEDOP_poll,
        hypercall::VCPUOP_SET_SINGLESHOT_TIMER => VCPUOP_set_singleshot_timer,
        hypercall::VCPUOP_STOP_SINGLESHOT_TIMER => VCPUOP_stop_singleshot_timer,
    }

    same! {
        UPCALL_PENDING => XEN_NATIVE_UPCALL_PENDING,
        UPCALL_PENDING => XEN_COMPAT_UPCALL_PENDING,
        TWO_LEVELS => KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
        VCPU_TIME => XEN_NATIVE_VCPU_TIME,
        VCPU_TIME => XEN_COMPAT_VCPU_TIME,
        VCPU_INFO => XEN_NATIVE_VCPU_INFO,
        VCPU_INFO => XEN_COMPAT_VCPU_INFO,
        RUNSTATE_STATE => XEN_NATIVE_RUNSTATE_STATE,
        RUNSTATE_STATE => XEN_COMPAT_RUNSTATE_STATE,
        area::TIMES_BEHIND_ENTRY => XEN_TIMES_BEHIND_ENTRY,
        area::TIMES_BEHIND_ENTRY => XEN_COMPAT_TIMES_BEHIND_ENTRY,
        area::UPDATE => XEN_UPDATE_IN_BYTE,
        RunState::Running => RUNSTATE_running,
        RunState::Runnable => RUNSTATE_runnable,
        RunState::Blocked => RUNSTATE_blocked,
        RunState::Offline => RUNSTATE_offline,
    }
}

// Access rights and levels.
same! {
    Access::READ.raw() => ACC_READ_MASK,
    Access::WRITE.raw() => ACC_WRITE_MASK,
    Access::USER.raw() => ACC_USER_MASK,
    Access::EXEC.raw() => ACC_EXEC_MASK,
    Access::new(u32::MAX).raw() => ACC_ALL,
    Level::PG_4K.raw() => PG_LEVEL_4K,
    Level::PG_2M.raw() => PG_LEVEL_2M,
    Level::PG_1G.raw() => PG_LEVEL_1G,
    Level::MAX_HUGEPAGE.raw() => KVM_MAX_HUGEPAGE_LEVEL,
    Level::MAX.raw() => PT64_ROOT_MAX_LEVEL,
    Level::PG_2M.pages() => KVM_PAGES_PER_2M,
    Level::PG_1G.pages() => KVM_PAGES_PER_1G,
}
