// SPDX-License-Identifier: GPL-2.0

//! What guests run: small 32-bit programs without paging, told by registers what to do.
//!
//! None uses a stack; `esp` is one more register. All run over the words at `esp`, `esp + ebp`, ...
//! below `edi`; the word at `ebx` ends those that loop. A program that finds what it must not
//! find writes to port 16; `esi` is the place.

use core::arch::global_asm;
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use std::ops::Range;

/// Where a guest complains.
pub const FAIL_PORT: u16 = 16;
/// Where one says that it is done, if KVM keeps its halts to itself.
pub const DONE_PORT: u16 = 17;
/// Guest-physical address of the programs.
pub const CODE: u64 = 0;
/// Guest-physical address of the word that ends loops.
pub const STOP: u64 = 4096;
/// Where the processor starts in system management mode.
pub const SMM_CODE: u64 = 0x38000;

/// Bit 1 is always set. Interrupts are on, though there are none for the guest: Bochs does not
/// interrupt a guest for the host that was entered with interrupts off (docs/emulators.md).
pub(crate) const RFLAGS: u64 = 0x202;

global_asm!(
    r#"
    .pushsection .rodata.guest, "a"
    .code32

    // Stores eax + (esi & ecx) in each word.
    .globl kvmrs_guest_fill
kvmrs_guest_fill:
    mov %esp, %esi
1:  mov %esi, %edx
    and %ecx, %edx
    add %eax, %edx
    mov %edx, (%esi)
    add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    hlt

    // Goes on where each word is what fill stored there.
    .macro check
    mov %esp, %esi
1:  mov %esi, %edx
    and %ecx, %edx
    add %eax, %edx
    cmp %edx, (%esi)
    jne 2f
    add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    .endm

    // Check.
    .globl kvmrs_guest_check
kvmrs_guest_check:
    check
    hlt
2:  out %eax, $16
    hlt

    // Check, and says so.
    .globl kvmrs_guest_confirm
kvmrs_guest_confirm:
    check
    out %eax, $17
    hlt
2:  out %eax, $16
    hlt

    // Check and fill with one more, in one pass, again and again.
    .globl kvmrs_guest_advance
kvmrs_guest_advance:
    mov %esp, %esi
1:  mov %esi, %edx
    and %ecx, %edx
    add %eax, %edx
    cmp %edx, (%esi)
    jne 2f
    inc %edx
    mov %edx, (%esi)
    add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    inc %eax
    cmpl $0, (%ebx)
    je kvmrs_guest_advance
    hlt
2:  out %eax, $16
    hlt

    // Copies each word to the one after it, again and again.
    .globl kvmrs_guest_echo
kvmrs_guest_echo:
    mov %esp, %esi
1:  mov (%esi), %edx
    mov %edx, 4(%esi)
    add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    inc %eax
    cmpl $0, (%ebx)
    je kvmrs_guest_echo
    hlt

    // Increments ecx words, each in a page that the random numbers from the seed eax choose: esi
    // is the base, edi masks page numbers, ebp is the offset in the page.
    .globl kvmrs_guest_scatter
kvmrs_guest_scatter:
    imul $1664525, %eax, %eax
    add $1013904223, %eax
    mov %eax, %edx
    shr $10, %edx
    and %edi, %edx
    shl $12, %edx
    add %esi, %edx
    incl (%edx,%ebp)
    dec %ecx
    jz 1f
    cmpl $0, (%ebx)
    je kvmrs_guest_scatter
1:  hlt

    // Reads each word.
    .globl kvmrs_guest_read
kvmrs_guest_read:
    mov %esp, %esi
1:  cmp %eax, (%esi)
    add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    hlt

    // Increments each word.
    .globl kvmrs_guest_increment
kvmrs_guest_increment:
    mov %esp, %esi
1:  incl (%esi)
    add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    hlt

    // Mixes all words into eax.
    .globl kvmrs_guest_digest
kvmrs_guest_digest:
    mov %esp, %esi
1:  rol $5, %eax
    add (%esi), %eax
    add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    hlt

    // Goes to each word, which leads back; stores this instruction there first, if need be. Counts in eax.
    .globl kvmrs_guest_visit
kvmrs_guest_visit:
    mov %esp, %esi
    mov $(3f - kvmrs_guest_fill), %edx
1:  cmpl $0x9090e2ff, (%esi)
    je 2f
    movl $0x9090e2ff, (%esi)
    cmpl $0x9090e2ff, (%esi)
    jne 4f
2:  jmp *%esi
3:  inc %eax
4:  add %ebp, %esi
    cmp %edi, %esi
    jb 1b
    hlt

    // Writes eax to esi and reads it back to edx.
    .globl kvmrs_guest_probe
kvmrs_guest_probe:
    mov %eax, (%esi)
    mov (%esi), %edx
    hlt

    // Fill with the complement of eax, in system management mode.
    .code16
    .globl kvmrs_guest_smm
kvmrs_guest_smm:
    notl %eax
    movl %esp, %esi
1:  movl %esi, %edx
    andl %ecx, %edx
    addl %eax, %edx
    movl %edx, (%esi)
    addl %ebp, %esi
    cmpl %edi, %esi
    jb 1b
    rsm

    .globl kvmrs_guest_end
kvmrs_guest_end:
    .code64
    .purgem check
    .popsection
    "#,
    options(att_syntax)
);

extern "C" {
    static kvmrs_guest_fill: u8;
    static kvmrs_guest_check: u8;
    static kvmrs_guest_confirm: u8;
    static kvmrs_guest_advance: u8;
    static kvmrs_guest_echo: u8;
    static kvmrs_guest_scatter: u8;
    static kvmrs_guest_read: u8;
    static kvmrs_guest_increment: u8;
    static kvmrs_guest_digest: u8;
    static kvmrs_guest_visit: u8;
    static kvmrs_guest_probe: u8;
    static kvmrs_guest_smm: u8;
    static kvmrs_guest_end: u8;
}

/// A program.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// Stores the round (plus the address) in each page.
    Fill,
    /// Finds there what the same fill stored.
    Check,
    /// Checks, for a VM with a local APIC: there, KVM keeps halts to itself.
    Confirm,
    /// Checks and fills with the next round, until stopped.
    Advance,
    /// Copies the first word of each page to the second, until stopped.
    Echo,
    /// Increments words of random pages.
    Scatter,
    /// Reads each page, in as few instructions as that takes.
    Read,
    /// Writes to each page, in as few instructions as that takes.
    Increment,
    /// Makes a number of what is in each page.
    Digest,
    /// Executes an instruction in each page, and writes it there where it is not.
    Visit,
    /// Writes one word and reads it.
    Probe,
}

impl Program {
    fn start(self) -> u64 {
        let label = match self {
            Self::Fill => &raw const kvmrs_guest_fill,
            Self::Check => &raw const kvmrs_guest_check,
            Self::Confirm => &raw const kvmrs_guest_confirm,
            Self::Advance => &raw const kvmrs_guest_advance,
            Self::Echo => &raw const kvmrs_guest_echo,
            Self::Scatter => &raw const kvmrs_guest_scatter,
            Self::Read => &raw const kvmrs_guest_read,
            Self::Increment => &raw const kvmrs_guest_increment,
            Self::Digest => &raw const kvmrs_guest_digest,
            Self::Visit => &raw const kvmrs_guest_visit,
            Self::Probe => &raw const kvmrs_guest_probe,
        };
        CODE + label as u64 - code().as_ptr() as u64
    }
}

/// All programs, to be copied to [`CODE`].
pub fn code() -> &'static [u8] {
    let (start, end) = (&raw const kvmrs_guest_fill, &raw const kvmrs_guest_smm);
    between(start, end)
}

/// The program for [`SMM_CODE`].
pub fn smm_code() -> &'static [u8] {
    let (start, end) = (&raw const kvmrs_guest_smm, &raw const kvmrs_guest_end);
    between(start, end)
}

fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: both are labels in the one block of constants above, `start` the earlier.
    unsafe { core::slice::from_raw_parts(start, end.offset_from(start) as usize) }
}

/// What the words of a pass over memory hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// Each its address plus the round, so that a page in the wrong place shows.
    Distinct,
    /// All the round.
    Same,
}

impl Pattern {
    fn mask(self) -> u32 {
        match self {
            Self::Distinct => u32::MAX,
            Self::Same => 0,
        }
    }

    /// The word at `gpa` in round `round`.
    pub fn word(self, gpa: u64, round: u32) -> u32 {
        (gpa as u32 & self.mask()).wrapping_add(round)
    }
}

/// Registers for a program that goes over `range`, which lies below 4G, with a word every `stride`.
pub fn pass(
    program: Program,
    range: &Range<u64>,
    stride: u64,
    pattern: Pattern,
    round: u32,
) -> kvm_regs {
    kvm_regs {
        rip: program.start(),
        rflags: RFLAGS,
        rax: round.into(),
        rbx: STOP,
        rcx: pattern.mask().into(),
        rsp: range.start,
        rdi: range.end,
        rbp: stride,
        ..Default::default()
    }
}

/// Registers for [`Program::Scatter`]: `count` increments in the `pages` (a power of two) from
/// `base` on, `offset` bytes into the page.
pub fn scatter(base: u64, pages: u64, offset: u64, seed: u32, count: u32) -> kvm_regs {
    assert!(pages.is_power_of_two() && count > 0);
    kvm_regs {
        rip: Program::Scatter.start(),
        rflags: RFLAGS,
        rax: seed.into(),
        rbx: STOP,
        rcx: count.into(),
        rsi: base,
        rdi: pages - 1,
        rbp: offset,
        ..Default::default()
    }
}

/// The pages that [`Program::Scatter`] visits with that seed, in its order.
pub fn scattered(pages: u64, seed: u32) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        u64::from(state >> 10) & (pages - 1)
    })
}

/// Registers for [`Program::Probe`].
pub fn probe(gpa: u64, value: u32) -> kvm_regs {
    kvm_regs {
        rip: Program::Probe.start(),
        rflags: RFLAGS,
        rax: value.into(),
        rsi: gpa,
        ..Default::default()
    }
}

/// Protected mode with flat segments, on top of what a new vCPU has.
pub fn protected_mode(mut sregs: kvm_sregs) -> kvm_sregs {
    let flat = |selector, type_| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    sregs.cs = flat(8, 0xb);
    for segment in [&mut sregs.ds, &mut sregs.es, &mut sregs.ss] {
        *segment = flat(16, 0x3);
    }
    sregs.cr0 |= 1;
    sregs
}
