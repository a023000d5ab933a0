# SPDX-License-Identifier: GPL-2.0
"""Linux guests in QEMU in the test machine: their initramfs, and a boot for a program that watches them.

Its QEMU is the tools root's, which the machine has as a share.
"""

from pathlib import Path
from typing import List, Mapping, Sequence

from ..base import paths
from ..build import crates, guest_kernel, kernel, module
from ..machine import boot, initramfs, kvm_modules
from ..suite import own_tests
from ..suite.results import Suite, Summary

CRATE = paths.REPO / "selftests" / "guest"


def image(
    tree: kernel.KernelTree,
    init: str = "init",
    more: Mapping[str, Path] = {},
    applets: Sequence[str] = (),
) -> Path:
    """busybox, a script of the crate as init, and the program that works."""
    found = paths.of_checkout(f"guest-{init}.cpio")
    listing = initramfs.Listing(("dev", "proc", "sys", "bin"))
    listing.file("init", CRATE / init)
    listing.file("bin/memwork", crates.static_program(CRATE, "kvmrs-memwork", "the guest's program"))
    for name, source in more.items():
        listing.file(name, source)
    listing.busybox(("sh", "mount", "poweroff", *applets))
    listing.write(found, tree)
    return found


def run(
    name: str,
    tests: Sequence[own_tests.RustTest],
    backends: List[str],
    initrd: Path,
    more: Mapping[str, Path] = {},
    cmdline: str = "",
) -> Summary:
    """Boots, runs the tests, judges; out/<name>.json has the results. The guest has the distribution's
    kernel. `more` are files for the tests, `cmdline` is the test machine's."""
    tree = kernel.ensure()
    rust = module.ensure(tree) if "rust" in backends else None
    modules = kvm_modules.Modules(tree, rust)
    files = {**modules.files(), own_tests.INSIDE: own_tests.program(), **more}
    files |= {"/guest/vmlinuz": guest_kernel.ensure().image, "/guest/initrd": initrd}
    suite = Suite(name, [*tests], backends)
    job = {"modules": modules.job(), "share": boot.SHARE_TAG, "work": suite.work()}
    machine = boot.Machine(name, tree, files, job, memory="3G", cmdline=cmdline, share=True)
    return suite.close(boot.run(machine, suite.on_event))
