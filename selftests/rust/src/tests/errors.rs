// SPDX-License-Identifier: GPL-2.0

//! Limits and wrong arguments: what the kernel answers does not depend on the backend.

use super::mixed;
use crate::harness::Test;
use anyhow::{ensure, Result};
use kvm_bindings::*;
use kvmtest::backend;
use kvmtest::ioctls::{KVM_CLEAR_DIRTY_LOG, KVM_PRE_FAULT_MEMORY, KVM_RESET_DIRTY_RINGS};
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vm::{Slot, Vm, BASE, CODE_SLOT, LOG_INITIALLY_SET, SLOT};
use std::io::Error;
use std::os::fd::AsRawFd;
use vmm_sys_util::ioctl::{ioctl, ioctl_with_ref, ioctl_with_val};
use vmm_sys_util::{ioctl_io_nr, ioctl_iow_nr, ioctl_iowr_nr};

ioctl_io_nr!(KVM_CREATE_VM, KVMIO, 0x01);
ioctl_io_nr!(KVM_CREATE_VCPU, KVMIO, 0x41);
ioctl_iow_nr!(KVM_GET_DIRTY_LOG, KVMIO, 0x42, kvm_dirty_log);
ioctl_io_nr!(KVM_SET_NR_MMU_PAGES, KVMIO, 0x44);
ioctl_iow_nr!(
    KVM_SET_USER_MEMORY_REGION,
    KVMIO,
    0x46,
    kvm_userspace_memory_region
);
ioctl_io_nr!(KVM_SET_TSS_ADDR, KVMIO, 0x47);
ioctl_iow_nr!(
    KVM_SET_USER_MEMORY_REGION2,
    KVMIO,
    0x49,
    kvm_userspace_memory_region2
);
ioctl_iow_nr!(KVM_ENABLE_CAP, KVMIO, 0xa3, kvm_enable_cap);
ioctl_iow_nr!(
    KVM_SET_MEMORY_ATTRIBUTES,
    KVMIO,
    0xd2,
    kvm_memory_attributes
);
ioctl_iowr_nr!(KVM_CREATE_GUEST_MEMFD, KVMIO, 0xd4, kvm_create_guest_memfd);

pub const TESTS: &[Test] = &[mixed("errors_are_equal", are_equal)];

/// What a call gave: the value, or the error as a negative number.
type Answers = Vec<(String, i64)>;

/// Asks the same of a VM on each backend.
fn are_equal(chosen: &str) -> Result<()> {
    let _choice = backend::choose_for_now(chosen)?;
    let (ours, c) = (answers(backend::RUST)?, answers(backend::C)?);
    let differing: Vec<String> = ours
        .iter()
        .zip(&c)
        .filter(|(ours, c)| ours != c)
        .map(|((call, ours), (_, c))| format!("{call}: {c} on C, {ours} on Rust"))
        .collect();
    ensure!(differing.is_empty(), "{}", differing.join("; "));
    ensure!(
        ours.len() == c.len(),
        "the backends were asked different things"
    );
    let refused = ours.iter().filter(|(_, answer)| *answer < 0).count();
    println!("# {} calls, of which {refused} were refused", ours.len());
    ensure!(
        refused > 40,
        "only {refused} calls were refused, these were not wrong arguments"
    );
    Ok(())
}

fn answers(backend: &str) -> Result<Answers> {
    let memory = Memory::new(2 * PAGE_2M, Backing::Huge)?;
    let slot = Slot::of(&memory);
    let (vm, vcpu) = Vm::with(backend, &memory)?;
    vcpu.populate(&slot.range())?;
    let mut asked = Asked::default();
    asked.capabilities(&vm);
    asked.slots(&vm, &slot);
    asked.logs(&vm, &slot)?;
    asked.prefault(&vcpu.fd, &slot);
    asked.enabling(&vm);
    asked.others(&vm);
    Ok(asked.0)
}

/// Collects answers.
#[derive(Default)]
struct Asked(Answers);

impl Asked {
    fn note(&mut self, call: String, answer: i32) {
        let error = Error::last_os_error().raw_os_error().unwrap_or_default();
        let answer = if answer < 0 {
            -i64::from(error)
        } else {
            answer.into()
        };
        self.0.push((call, answer));
    }

    /// Every number that could be a capability.
    fn capabilities(&mut self, vm: &Vm) {
        for cap in 0..300 {
            self.note(format!("capability {cap}"), vm.fd.check_extension_raw(cap));
        }
    }

    fn slots(&mut self, vm: &Vm, slot: &Slot) {
        let log = KVM_MEM_LOG_DIRTY_PAGES;
        let at = |id, gpa, hva, size, flags| (Slot { id, gpa, hva, size }, flags);
        let Slot { gpa, hva, size, .. } = *slot;
        let free = BASE + 64 * MIB;
        let mut wrong = vec![
            at(2, free, hva, PAGE_4K + 1, 0),
            at(2, free, hva, PAGE_4K - 1, 0),
            at(2, free + 1, hva, PAGE_4K, 0),
            at(2, free, hva + 1, PAGE_4K, 0),
            at(2, free, 1 << 63, PAGE_4K, 0),
            at(2, free, u64::MAX - PAGE_4K + 1, PAGE_4K, 0),
            at(2, u64::MAX - PAGE_4K + 1, hva, PAGE_4K, 0),
            at(2, u64::MAX - PAGE_4K + 1, hva, 2 * PAGE_4K, 0),
            at(2, 1 << 52, hva, PAGE_4K, 0),
            at(2, 1 << 60, hva, PAGE_4K, log),
            at(2, 0, hva, 1 << 43, 0),
            at(2, free, hva, 1 << 46, 0),
            at(2, gpa + size - PAGE_4K, hva, PAGE_2M, 0),
            at(2, gpa, hva, size, 0),
            at(2, free, hva, 0, 0),
            at(SLOT, gpa, hva, size / 2, 0),
            at(SLOT, gpa, hva, 2 * size, 0),
            at(SLOT, gpa, hva + PAGE_4K, size, 0),
            at(SLOT, gpa, hva, size, KVM_MEM_READONLY),
            at(SLOT, free, hva, size / 2, 0),
            at(CODE_SLOT, gpa, vm.code_slot().hva, 2 * PAGE_4K, 0),
        ];
        for id in [
            32763,
            32764,
            32767,
            32768,
            65535,
            65537,
            (1 << 16) | 2,
            2 << 16,
            u32::MAX,
        ] {
            wrong.push(at(id, free, hva, PAGE_4K, 0));
            wrong.push(at(id, free, hva, 0, 0));
        }
        for bit in 1..32 {
            wrong.push(at(3, free + 8 * MIB, hva, PAGE_4K, 1 << bit));
            wrong.push(at(3, free, hva, 0, 0));
        }
        for (slot, flags) in wrong {
            self.slot(vm, &slot, flags);
        }
    }

    fn slot(&mut self, vm: &Vm, slot: &Slot, flags: u32) {
        let region = slot.region(flags);
        // The address may differ from VM to VM, the rest is what makes the call wrong.
        let call = format!(
            "slot {:#x} at {:#x}, {:#x} bytes, flags {flags:#x}",
            slot.id, slot.gpa, slot.size
        );
        // SAFETY: the guest does not run any more, so that it does not matter what it can reach.
        let answer = unsafe { ioctl_with_ref(&vm.fd, KVM_SET_USER_MEMORY_REGION(), &region) };
        self.note(call.clone(), answer);
        let region = kvm_userspace_memory_region2 {
            slot: slot.id,
            flags,
            guest_phys_addr: slot.gpa,
            memory_size: slot.size,
            userspace_addr: slot.hva,
            guest_memfd_offset: 1,
            ..Default::default()
        };
        // SAFETY: as above.
        let answer = unsafe { ioctl_with_ref(&vm.fd, KVM_SET_USER_MEMORY_REGION2(), &region) };
        self.note(format!("{call}, extended"), answer);
    }

    /// Getting and clearing a log: without one, without and with clearing by hand.
    fn logs(&mut self, vm: &Vm, slot: &Slot) -> Result<()> {
        self.log_calls(vm, slot, "without a log");
        vm.set(slot, KVM_MEM_LOG_DIRTY_PAGES)?;
        self.log_calls(vm, slot, "cleared when got");
        vm.set_log_mode(LOG_INITIALLY_SET)?;
        self.log_calls(vm, slot, "cleared by hand");
        vm.set(slot, 0)?;
        vm.set(slot, KVM_MEM_LOG_DIRTY_PAGES)?;
        self.log_calls(vm, slot, "set from the start");
        vm.set(slot, 0)
    }

    fn log_calls(&mut self, vm: &Vm, slot: &Slot, how: &str) {
        let mut bitmap = vec![u64::MAX; 64];
        let good = bitmap.as_mut_ptr() as usize;
        for (id, place) in [
            (SLOT, good),
            (SLOT, 1 << 63),
            (7, good),
            (32768, good),
            (1 << 16, good),
            (9 << 16, good),
        ] {
            let mut log = kvm_dirty_log {
                slot: id,
                ..Default::default()
            };
            log.__bindgen_anon_1.dirty_bitmap = place as *mut _;
            // SAFETY: the bitmap has a bit for each page of the slot, or its address is wrong.
            let answer = unsafe { ioctl_with_ref(&vm.fd, KVM_GET_DIRTY_LOG(), &log) };
            self.note(
                format!("log of slot {id:#x} to {}, {how}", place == good),
                answer,
            );
        }
        let pages = slot.size / PAGE_4K;
        let places = [
            (0, pages),
            (0, 64),
            (0, 63),
            (1, 64),
            (64, 0),
            (pages, 0),
            (pages, 64),
            (pages - 64, 128),
            (64, pages),
            (u64::MAX - 63, 64),
            (u64::MAX, 1),
            (0, u64::from(u32::MAX)),
        ];
        for (first_page, count) in places {
            for (id, place) in [(SLOT, good), (SLOT, 1 << 63), (7, good), (9 << 16, good)] {
                let mut clear = kvm_clear_dirty_log {
                    slot: id,
                    num_pages: count as u32,
                    first_page,
                    ..Default::default()
                };
                clear.__bindgen_anon_1.dirty_bitmap = place as *mut _;
                // SAFETY: the bitmap is large enough for the slot, or its address is wrong.
                let answer = unsafe { ioctl_with_ref(&vm.fd, KVM_CLEAR_DIRTY_LOG(), &clear) };
                self.note(
                    format!(
                        "clear {first_page}+{count} of slot {id:#x} from {}, {how}",
                        place == good
                    ),
                    answer,
                );
            }
        }
    }

    fn prefault(&mut self, vcpu: &impl AsRawFd, slot: &Slot) {
        let Slot { gpa, size, .. } = *slot;
        for (gpa, size, flags) in [
            (gpa, size, 0),
            (gpa, size, 1),
            (gpa, 0, 0),
            (gpa + 1, PAGE_4K, 0),
            (gpa, PAGE_4K + 1, 0),
            (gpa - PAGE_4K, PAGE_4K, 0),
            (gpa + size - PAGE_4K, 2 * PAGE_4K, 0),
            (gpa + size, PAGE_4K, 0),
            (u64::MAX - PAGE_4K + 1, 2 * PAGE_4K, 0),
            (1 << 52, PAGE_4K, 0),
            (1 << 40, PAGE_4K, 0),
        ] {
            let range = kvm_pre_fault_memory {
                gpa,
                size,
                flags,
                ..Default::default()
            };
            // SAFETY: the kernel maps memory for a guest that does not run any more.
            let answer = unsafe { ioctl_with_ref(vcpu, KVM_PRE_FAULT_MEMORY(), &range) };
            self.note(
                format!("map {gpa:#x}, {size:#x} bytes, flags {flags}: "),
                answer,
            );
        }
    }

    fn enabling(&mut self, vm: &Vm) {
        let ring = u64::from(u32::MAX);
        for (cap, flags, argument) in [
            (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, 4),
            (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1, 1),
            (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, 2),
            (KVM_CAP_DISABLE_QUIRKS2, 0, 1 << 40),
            (KVM_CAP_DIRTY_LOG_RING, 0, 0),
            (KVM_CAP_DIRTY_LOG_RING, 0, 3),
            (KVM_CAP_DIRTY_LOG_RING, 0, PAGE_4K),
            (KVM_CAP_DIRTY_LOG_RING, 0, ring),
            (KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0, PAGE_4K),
            (KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 0, 1),
            (KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 0, 0),
            (KVM_CAP_MAX_VCPUS, 0, 1),
            (KVM_CAP_SPLIT_IRQCHIP, 0, 1000),
            (KVM_CAP_EXIT_HYPERCALL, 0, 1 << 62),
            (9999, 0, 0),
        ] {
            let enabled = kvm_enable_cap {
                cap,
                flags,
                args: [argument, 0, 0, 0],
                ..Default::default()
            };
            // SAFETY: none of these capabilities has to do with memory of this process.
            let answer = unsafe { ioctl_with_ref(&vm.fd, KVM_ENABLE_CAP(), &enabled) };
            self.note(
                format!("enable {cap} with flags {flags}, {argument:#x}"),
                answer,
            );
        }
    }

    fn others(&mut self, vm: &Vm) {
        let numbers = [
            ("vCPU that exists", KVM_CREATE_VCPU(), 0),
            ("vCPU of a large number", KVM_CREATE_VCPU(), 1 << 20),
            ("1 MMU page", KVM_SET_NR_MMU_PAGES(), 1),
            ("64 MMU pages", KVM_SET_NR_MMU_PAGES(), 64),
            ("TSS at the end", KVM_SET_TSS_ADDR(), u64::from(u32::MAX)),
            ("TSS beyond", KVM_SET_TSS_ADDR(), 1 << 33),
            ("VM of a VM", KVM_CREATE_VM(), 0),
        ];
        for (call, number, value) in numbers {
            // SAFETY: these calls take a number, none makes an object of these arguments.
            self.note(call.into(), unsafe {
                ioctl_with_val(&vm.fd, number, value)
            });
        }
        // SAFETY: the call takes no argument.
        self.note("reset the dirty rings".into(), unsafe {
            ioctl(&vm.fd, KVM_RESET_DIRTY_RINGS())
        });
        for (address, size, attributes) in [
            (BASE, PAGE_4K, 8),
            (BASE, PAGE_4K, 1 << 40),
            (BASE + 1, PAGE_4K, 0),
            (BASE, 0, 0),
        ] {
            let attributes = kvm_memory_attributes {
                address,
                size,
                attributes,
                ..Default::default()
            };
            // SAFETY: attributes concern the guest only.
            let answer =
                unsafe { ioctl_with_ref(&vm.fd, KVM_SET_MEMORY_ATTRIBUTES(), &attributes) };
            self.note(format!("attributes {attributes:?}"), answer);
        }
        for (size, flags) in [(0, 0), (1, 0), (PAGE_4K, 1 << 60)] {
            let file = kvm_create_guest_memfd {
                size,
                flags,
                ..Default::default()
            };
            // SAFETY: none of these arguments makes a file.
            let answer = unsafe { ioctl_with_ref(&vm.fd, KVM_CREATE_GUEST_MEMFD(), &file) };
            self.note(
                format!("guest_memfd of {size} bytes, flags {flags:#x}"),
                answer,
            );
        }
    }
}
