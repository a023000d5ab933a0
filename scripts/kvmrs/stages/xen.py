# SPDX-License-Identifier: GPL-2.0
"""Linux guests that take the host for Xen, on C VMs and on Rust VMs in the same boot.

QEMU emulates Xen by way of KVM's interface for it. The guest is the distribution's own kernel: by itself,
or below Xen's PV shim, which then is who uses that interface.
"""

from typing import List, Sequence

from ..build import guest_kernel, kernel, xen_shim
from ..suite import own_tests
from ..suite.results import Summary
from . import linux_guest

HVM, SHIM = "hvm", "shim"
GUESTS = {HVM: ("xen-guest", 300), SHIM: ("xen-shim", 600)}
"""For each, a command of the program of selftests/rust, and seconds, on a slow and busy machine."""
BLOCK_MODULE = "xen-blkfront"


def run(backends: List[str], guests: Sequence[str] = (HVM,)) -> Summary:
    """Builds, boots, runs the guests, judges; out/xen.json has the results."""
    disk = {f"{BLOCK_MODULE}.ko": guest_kernel.ensure().module(BLOCK_MODULE)}
    initrd = linux_guest.image(kernel.ensure(), "init-xen", disk, ("insmod", "dmesg", "grep"))
    more = {"/guest/xen-shim": xen_shim.ensure()} if SHIM in guests else {}
    tests = [own_tests.RustTest(*GUESTS[guest], shown=True) for guest in guests]
    return linux_guest.run("xen", tests, backends, initrd, more)
