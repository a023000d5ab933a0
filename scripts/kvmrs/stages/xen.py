# SPDX-License-Identifier: GPL-2.0
"""A Linux guest that takes the host for Xen, on a C VM and on a Rust VM in the same boot.

QEMU emulates Xen by way of KVM's interface for it. The guest is the distribution's own kernel.
"""

from pathlib import Path
from typing import List

from ..base import paths
from ..build import crates, guest_kernel, kernel, module
from ..machine import boot, initramfs, kvm_modules
from ..suite import own_tests
from ..suite.results import Suite, Summary

NAME = "xen"
CRATE = paths.REPO / "selftests" / "guest"
BLOCK_MODULE = "xen-blkfront"
TIMEOUT = 300
"""Seconds for one guest, on a slow and busy machine."""


def run(backends: List[str]) -> Summary:
    """Builds, boots, runs the guest, judges; out/xen.json has the results."""
    tree = kernel.ensure()
    guest = guest_kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree) if "rust" in backends else None)
    files = {**modules.files(), own_tests.INSIDE: own_tests.program()}
    files |= {"/guest/vmlinuz": guest.image, "/guest/initrd": _image(tree, guest)}
    suite = Suite(NAME, [own_tests.RustTest("xen-guest", TIMEOUT, shown=True)], backends)
    job = {"modules": modules.job(), "share": boot.SHARE_TAG, "work": suite.work()}
    machine = boot.Machine(NAME, tree, files, job, memory="3G", share=True)
    return suite.close(boot.run(machine, suite.on_event))


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
