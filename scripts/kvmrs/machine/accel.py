# SPDX-License-Identifier: GPL-2.0
"""Can /dev/kvm give a virtual machine nested paging of its own, for the kernel under test?

A /dev/kvm that is there proves nothing: it must open, make a VM, and offer guests SVM or VMX.
"""

import fcntl
import os
import struct
from dataclasses import dataclass

KVM_CREATE_VM = 0xAE01
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
ENTRIES = 256

SVM = (0x80000001, 2, 1 << 2)  # (leaf, index of the register in eax..edx, bit)
NPT = (0x8000000A, 3, 1 << 0)
VMX = (0x00000001, 2, 1 << 5)


@dataclass(frozen=True)
class Accelerator:
    """`name` is QEMU's name for it; `why` is for people."""

    name: str
    why: str


COUNTING = Accelerator("icount", "tcg with a clock that counts instructions")


def choose() -> Accelerator:
    """kvm where a guest really gets nested paging, tcg everywhere else."""
    try:
        descriptor = os.open("/dev/kvm", os.O_RDWR)
    except OSError as error:
        return Accelerator("tcg", f"/dev/kvm: {error.strerror}")
    try:
        os.close(fcntl.ioctl(descriptor, KVM_CREATE_VM, 0))
        leaves = _leaves(descriptor)
    except OSError as error:
        return Accelerator("tcg", f"/dev/kvm makes no virtual machine: {error.strerror}")
    finally:
        os.close(descriptor)
    if _has(leaves, SVM) and _has(leaves, NPT):
        return Accelerator("kvm", "/dev/kvm with nested SVM and NPT")
    if _has(leaves, VMX):
        return Accelerator("kvm", "/dev/kvm with nested VMX")
    return Accelerator("tcg", "/dev/kvm offers its guests neither SVM nor VMX (kvm's nested=1)")


def emulated() -> bool:
    """Whether the test machine has an emulated processor, with its flaws."""
    return choose().name != "kvm"


def _leaves(descriptor: int) -> dict:
    """CPUID as guests would see it: leaf -> (eax, ebx, ecx, edx)."""
    buffer = bytearray(struct.pack("II", ENTRIES, 0) + bytes(40 * ENTRIES))
    fcntl.ioctl(descriptor, KVM_GET_SUPPORTED_CPUID, buffer)
    count = struct.unpack_from("I", buffer)[0]
    rows = (struct.unpack_from("7I", buffer, 8 + 40 * number) for number in range(count))
    return {row[0]: row[3:7] for row in rows}


def _has(leaves: dict, feature: tuple) -> bool:
    leaf, register, bit = feature
    return bool(leaves.get(leaf, (0, 0, 0, 0))[register] & bit)
