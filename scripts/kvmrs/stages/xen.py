# SPDX-License-Identifier: GPL-2.0
"""Linux guests that take the host for Xen, on C VMs and on Rust VMs in the same boot.

QEMU emulates Xen by way of KVM's interface for it. The guest is the distribution's own kernel: by itself,
or below Xen's PV shim, which then is who uses that interface. By itself it also migrates live between C and Rust.
"""

from pathlib import Path
from typing import List, Sequence

from ..base import paths
from ..build import guest_kernel, kernel, xen_shim
from ..suite import own_tests
from ..suite.results import Summary
from . import linux_guest, migrate

HVM, SHIM = "hvm", "shim"
GUESTS = {HVM: ("xen-guest", 300), SHIM: ("xen-shim", 600)}
"""For each, a command of the program of selftests/rust, and seconds, on a slow and busy machine."""
MOVES = own_tests.RustTest("xen-moves", 900, mixed=True, shown=True)
"""The migrations, which have a boot of their own."""
LEFT_BEHIND = paths.REPO / "selftests" / "preload" / "xen_moves.c"
"""For QEMU, which does not take all of such a guest along by itself."""
WRITABLE = "proc_mem.force_override=always"
"""For the program that clears a mark of QEMU's: root may write to what a process itself may only read."""
BLOCK_MODULE = "xen-blkfront"


def run(backends: List[str], guests: Sequence[str] = (HVM,)) -> Summary:
    """Builds, boots, runs the guests, judges; out/xen.json has the results."""
    more = {"/guest/xen-shim": xen_shim.ensure()} if SHIM in guests else {}
    tests = [own_tests.RustTest(*GUESTS[guest], shown=True) for guest in guests]
    return linux_guest.run("xen", tests, backends, _image(), more)


def moves() -> Summary:
    """The same for the guest that migrates; out/xen-moves.json has the result."""
    files = migrate.libraries(migrate.WAY, LEFT_BEHIND)
    return linux_guest.run(MOVES.name, [MOVES], ["rust"], _image(), files, WRITABLE)


def _image() -> Path:
    disk = {f"{BLOCK_MODULE}.ko": guest_kernel.ensure().module(BLOCK_MODULE)}
    return linux_guest.image(kernel.ensure(), "init-xen", disk, ("insmod", "dmesg", "grep"))
