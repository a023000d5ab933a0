// SPDX-License-Identifier: GPL-2.0

//! A vCPU that calls Xen: by the page that KVM fills with calls, at any privilege and width.

use crate::guest::{self, DONE_PORT, RFLAGS};
use crate::memory::{Backing, Memory, PAGE_2M, PAGE_4K};
use crate::vcpu::Vcpu;
use crate::vm::{Slot, Vm};
use crate::xen_layout::Layout;
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{
    kvm_regs, kvm_sregs, KVM_EXIT_XEN, KVM_MAX_CPUID_ENTRIES, KVM_XEN_MSR_MIN_INDEX,
};
use kvm_ioctls::{Kvm, VcpuExit};

/// xen_version(), with the question that KVM answers.
pub const VERSION: Call = Call::new(17, &[0]);
/// sched_op(), first parameter: what to do.
pub const SCHED: u64 = 29;
/// sched_op(): let others run.
pub const YIELD: u64 = 0;
/// sched_op(): wait for an event of some channels.
pub const POLL: u64 = 3;
/// event_channel_op().
pub const CHANNEL: u64 = 32;
/// event_channel_op(): an event.
pub const SEND: u64 = 4;
/// vcpu_op(): what to do, for which vCPU.
pub const VCPU: u64 = 24;
/// vcpu_op(): an event at a certain time.
pub const SET_TIMER: u64 = 8;
/// vcpu_op(): no event.
pub const STOP_TIMER: u64 = 9;
/// set_timer_op().
pub const TIMER: u64 = 15;

/// Where it all is.
const GPA: u64 = 0x2_0000;
const SLOT: u32 = 6;
/// wrmsr; out %eax, $17; hlt
const CODE: [u8; 5] = [0x0f, 0x30, 0xe7, DONE_PORT as u8, 0xf4];
/// 1: call *%edi; dec %esi; jnz 1b; out %eax, $17; hlt
const LOOP: [u8; 8] = [0xff, 0xd7, 0x4e, 0x75, 0xfb, 0xe7, DONE_PORT as u8, 0xf4];
/// Where that is.
const REPEAT: u64 = GPA + 16;
/// out %eax, $17, twice: who skips the first one stops at the second.
const STOPS: [u8; 4] = [0xe7, DONE_PORT as u8, 0xe7, DONE_PORT as u8];
/// Where that is.
const ELSEWHERE: u64 = GPA + 32;
/// Where a call returns to: behind wrmsr.
const RETURN: u64 = GPA + 2;
/// The return address is the only thing on the stack.
const STACK: u64 = GPA + PAGE_4K / 2;
/// The page that KVM fills.
const CALLS: u64 = GPA + PAGE_4K;
/// Bytes of each call there.
pub const CALL: u64 = 32;
/// Page tables: they map the first 2 GiB, which have everything of a test's, to themselves.
const TABLES: u64 = GPA + 2 * PAGE_4K;
const ENTRIES: u64 = 512;
/// Present, writable, for all privileges; the latter a huge page.
const LINK: u64 = 0x7;
const LEAF: u64 = 0x87;
const PAGES: u64 = 6;

const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
/// Long mode is on, and active.
const EFER_LONG: u64 = 1 << 8 | 1 << 10;
/// Any privilege may use ports.
const IOPL: u64 = 3 << 12;

/// A call's number and parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Which.
    pub number: u64,
    /// With what.
    pub params: [u64; 6],
}

impl Call {
    /// Parameters that are not given are zero.
    pub const fn new(number: u64, given: &[u64]) -> Self {
        let mut params = [0; 6];
        let mut index = 0;
        while index < given.len() {
            params[index] = given[index];
            index += 1;
        }
        Self { number, params }
    }
}

impl Call {
    /// What a program of this width can give.
    pub fn of_width(mut self, width: Layout) -> Self {
        if width == Layout::Compat {
            self.params = self.params.map(|param| param & u64::from(u32::MAX));
        }
        self
    }
}

/// Who has answered a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// The kernel, with this number.
    Kernel(i32),
    /// The kernel has handed it on to userspace.
    Userspace {
        /// As userspace got it.
        call: Call,
        /// From which privilege.
        privilege: u32,
        /// Of which width.
        width: Layout,
    },
}

/// What userspace answers.
const OURS: u64 = 0x1234_5678;
/// What a guest has in its register that was sent elsewhere.
const KEPT: u64 = 0x0bad_cafe;

/// What becomes of a guest that asks for a page of calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Page {
    /// It goes on, with the page.
    Written,
    /// It gets an exception, for which it has no handler.
    Refused,
    /// Userspace gets this error.
    Error(i32),
}

/// The memory that it takes to call.
pub struct Caller(#[expect(dead_code, reason = "it is in a slot")] Memory);

impl Caller {
    /// Has KVM fill the page. From here on, KVM takes the guest for one of 32 bits.
    pub fn new(vm: &Vm, vcpu: &mut Vcpu) -> Result<Self> {
        let memory = Memory::new(PAGES * PAGE_4K, Backing::Small)?;
        memory.write(0, &CODE);
        memory.write(REPEAT - GPA, &LOOP);
        memory.write(ELSEWHERE - GPA, &STOPS);
        memory.write(STACK - GPA, &RETURN.to_le_bytes());
        write_tables(&memory);
        let slot = Slot {
            id: SLOT,
            gpa: GPA,
            ..Slot::of(&memory)
        };
        vm.set(&slot, 0)?;
        let cpuid = Kvm::new()?.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        vcpu.fd.set_cpuid2(&cpuid).context("KVM_SET_CPUID2")?;
        vcpu.run(&kvm_regs {
            rip: GPA,
            rflags: RFLAGS,
            rcx: KVM_XEN_MSR_MIN_INDEX.into(),
            rax: CALLS,
            ..Default::default()
        })?;
        Ok(Self(memory))
    }

    /// Calls, and gives the answer. `width` is that of the processor's mode.
    pub fn call(
        &self,
        vcpu: &mut Vcpu,
        width: Layout,
        privilege: u8,
        call: Call,
    ) -> Result<Answer> {
        vcpu.fd
            .set_sregs(&mode(vcpu.fd.get_sregs()?, width, privilege))?;
        vcpu.fd.set_regs(&registers(width, call))?;
        let mut asked = None;
        loop {
            match vcpu.fd.run() {
                Ok(VcpuExit::IoOut(port, _)) if port == DONE_PORT => break,
                Ok(VcpuExit::Unsupported(KVM_EXIT_XEN)) => asked = Some(answer_ours(vcpu)),
                Ok(other) => bail!("{call:x?} ended with {other:?}"),
                Err(error) if error.errno() == libc::EINTR => {}
                Err(error) => return Err(error).context("KVM_RUN"),
            }
        }
        let result = vcpu.fd.get_regs()?.rax as u32;
        let Some(answer) = asked else {
            return Ok(Answer::Kernel(result as i32));
        };
        ensure!(
            result == OURS as u32,
            "the guest got {result:#x} from userspace"
        );
        Ok(answer)
    }

    /// Calls what is userspace's to answer, which answers, and sends the guest elsewhere. So the guest must not get the
    /// answer.
    pub fn call_in_vain(&self, vcpu: &mut Vcpu, width: Layout, call: Call) -> Result<()> {
        vcpu.fd.set_sregs(&mode(vcpu.fd.get_sregs()?, width, 0))?;
        vcpu.fd.set_regs(&registers(width, call))?;
        match vcpu.fd.run()? {
            VcpuExit::Unsupported(KVM_EXIT_XEN) => drop(answer_ours(vcpu)),
            other => bail!("{call:x?} ended with {other:?}"),
        }
        let ended = vcpu.run(&kvm_regs {
            rip: ELSEWHERE,
            rax: KEPT,
            ..registers(width, call)
        })?;
        ensure!(
            (ended.rax, ended.rip) == (KEPT, ELSEWHERE),
            "the guest is at {:#x}, with {:#x}",
            ended.rip,
            ended.rax
        );
        Ok(())
    }

    /// Asks for a page of calls in a mode of this width, by a value for the MSR.
    pub fn ask_for_page(&self, vcpu: &mut Vcpu, width: Layout, value: u64) -> Result<Page> {
        vcpu.fd.set_sregs(&mode(vcpu.fd.get_sregs()?, width, 0))?;
        vcpu.fd.set_regs(&kvm_regs {
            rip: GPA,
            rflags: RFLAGS,
            rcx: KVM_XEN_MSR_MIN_INDEX.into(),
            rax: value & u64::from(u32::MAX),
            rdx: value >> 32,
            ..Default::default()
        })?;
        loop {
            return match vcpu.fd.run() {
                Ok(VcpuExit::IoOut(port, _)) if port == DONE_PORT => Ok(Page::Written),
                Ok(VcpuExit::Shutdown) => Ok(Page::Refused),
                Ok(other) => bail!("the guest stopped with {other:?}"),
                Err(error) if error.errno() == libc::EINTR => continue,
                Err(error) => Ok(Page::Error(error.errno())),
            };
        }
    }

    /// Calls `times` times without a stop, in the kernel's mode of 32 bits. Gives the kernel's last answer. The
    /// loop needs the registers of all parameters but the first three.
    pub fn repeat(&self, vcpu: &mut Vcpu, call: Call, times: u32) -> Result<i32> {
        vcpu.fd
            .set_sregs(&mode(vcpu.fd.get_sregs()?, Layout::Compat, 0))?;
        let ended = vcpu.run(&kvm_regs {
            rip: REPEAT,
            rsi: times.into(),
            rdi: CALLS + call.number * CALL,
            ..registers(Layout::Compat, call)
        })?;
        Ok(ended.rax as i32)
    }

    /// The same in the kernel's mode, of 32 bits.
    pub fn ask(&self, vcpu: &mut Vcpu, call: Call) -> Result<Answer> {
        self.call(vcpu, Layout::Compat, 0, call)
    }
}

/// Answers a call that has come to userspace.
fn answer_ours(vcpu: &mut Vcpu) -> Answer {
    // SAFETY: the kernel has filled in this part of the unions; it consists of numbers.
    let hcall = unsafe { &mut vcpu.fd.get_kvm_run().__bindgen_anon_1.xen.u.hcall };
    hcall.result = OURS;
    Answer::Userspace {
        call: Call {
            number: hcall.input,
            params: hcall.params,
        },
        privilege: hcall.cpl,
        width: match hcall.longmode {
            0 => Layout::Compat,
            _ => Layout::Native,
        },
    }
}

fn registers(width: Layout, call: Call) -> kvm_regs {
    let start = kvm_regs {
        rip: CALLS + call.number * CALL,
        rflags: RFLAGS | IOPL,
        rsp: STACK,
        ..Default::default()
    };
    let [first, second, third, fourth, fifth, sixth] = call.params;
    match width {
        Layout::Compat => kvm_regs {
            rbx: first,
            rcx: second,
            rdx: third,
            rsi: fourth,
            rdi: fifth,
            rbp: sixth,
            ..start
        },
        Layout::Native => kvm_regs {
            rdi: first,
            rsi: second,
            rdx: third,
            r10: fourth,
            r8: fifth,
            r9: sixth,
            ..start
        },
    }
}

/// Of a processor that runs programs of this width, at this privilege.
fn mode(old: kvm_sregs, width: Layout, privilege: u8) -> kvm_sregs {
    let mut sregs = guest::protected_mode(old);
    let long = width == Layout::Native;
    for segment in [&mut sregs.cs, &mut sregs.ds, &mut sregs.es, &mut sregs.ss] {
        segment.dpl = privilege;
        segment.selector |= u16::from(privilege);
    }
    (sregs.cs.l, sregs.cs.db) = (long.into(), (!long).into());
    if long {
        sregs.cr3 = TABLES;
        sregs.cr4 |= CR4_PAE;
        sregs.cr0 |= CR0_PG;
        sregs.efer |= EFER_LONG;
    } else {
        sregs.cr0 &= !CR0_PG;
        sregs.efer &= !EFER_LONG;
    }
    sregs
}

/// Four levels: one table each, but for two directories of a GiB.
fn write_tables(memory: &Memory) {
    let table = |number: u64| TABLES + number * PAGE_4K;
    let set = |number: u64, index: u64, entry: u64| {
        memory.write(table(number) - GPA + 8 * index, &entry.to_le_bytes());
    };
    set(0, 0, table(1) | LINK);
    for directory in 0..2 {
        set(1, directory, table(2 + directory) | LINK);
        for index in 0..ENTRIES {
            let page = (directory * ENTRIES + index) * PAGE_2M;
            set(2 + directory, index, page | LEAF);
        }
    }
}
