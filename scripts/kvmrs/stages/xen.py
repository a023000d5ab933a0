# SPDX-License-Identifier: GPL-2.0
"""Linux guests that take the host for Xen, on C VMs and on Rust VMs in the same boot.

QEMU emulates Xen by way of KVM's interface for it. The guest is the distribution's own kernel: by itself,
or below Xen's PV shim, which then is who uses that interface.
"""

from pathlib import Path
from typing import Dict, List, Sequence

from ..base import paths
from ..build import crates, guest_kernel, kernel, module, xen_shim
from ..machine import boot, initramfs, kvm_modules
from ..suite import own_tests
from ..suite.results import Suite, Summary

NAME = "xen"
HVM, SHIM = "hvm", "shim"
GUESTS = {HVM: ("xen-guest", 300), SHIM: ("xen-shim", 600)}
"""For each, a command of the program of selftests/rust, and seconds, on a slow and busy machine."""
CRATE = paths.REPO / "selftests" / "guest"
BLOCK_MODULE = "xen-blkfront"


def run(backends: List[str], guests: Sequence[str] = (HVM,)) -> Summary:
    """Builds, boots, runs the guests, judges; out/xen.json has the results."""
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree) if "rust" in backends else None)
    files = {**modules.files(), **_files(tree, guests), own_tests.INSIDE: own_tests.program()}
    tests = [own_tests.RustTest(*GUESTS[guest], shown=True) for guest in guests]
    suite = Suite(NAME, [*tests], backends)
    job = {"modules": modules.job(), "share": boot.SHARE_TAG, "work": suite.work()}
    machine = boot.Machine(NAME, tree, files, job, memory="3G", share=True)
    return suite.close(boot.run(machine, suite.on_event))


def _files(tree: kernel.KernelTree, guests: Sequence[str]) -> Dict[str, Path]:
    """What the guests boot from."""
    guest = guest_kernel.ensure()
    files = {"/guest/vmlinuz": guest.image, "/guest/initrd": _image(tree, guest)}
    return {**files, **({"/guest/xen-shim": xen_shim.ensure()} if SHIM in guests else {})}


def _image(tree: kernel.KernelTree, guest: guest_kernel.GuestKernel) -> Path:
    """The guest's initramfs."""
    image = paths.of_checkout("xen-guest.cpio")
    listing = initramfs.Listing(("dev", "proc", "sys", "bin"))
    listing.file("init", CRATE / "init-xen")
    listing.file("bin/memwork", crates.static_program(CRATE, "kvmrs-memwork", "the guest's program"))
    listing.file(f"{BLOCK_MODULE}.ko", guest.module(BLOCK_MODULE))
    listing.busybox(("sh", "mount", "insmod", "dmesg", "grep", "poweroff"))
    listing.write(image, tree)
    return image
