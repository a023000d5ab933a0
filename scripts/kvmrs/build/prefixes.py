# SPDX-License-Identifier: GPL-2.0
"""Does KVM compile after each patch of the series?

The patches go one after the other onto a copy of the base kernel's built tree, so that the tree
itself stays as it is. The copy keeps its objects for the next run.
"""

import os
from pathlib import Path

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import build_machine, packages, toolroot
from . import kernel, series

FOLDER = "arch/x86/kvm/"
"""Its Makefile lists the files of virt/kvm, too."""


def build() -> None:
    """Shows each patch when it has compiled; ends with the first that does not."""
    if os.environ.get("KDIR"):
        raise KvmrsError("--build uses a copy of kvm_rs's own kernel", "leave out KDIR=")
    tree = kernel.ensure()
    copy = paths.cache() / "prefix-check"
    with lock.hold("compiling after each patch", copy.name):
        _bring_up(copy, tree)
        patches = series.patches()
        for count, patch in enumerate(patches, 1):
            series.sync(copy, copy / kernel.PRISTINE, patches[:count])
            _compile(copy, f"patch {count}/{len(patches)}: {patch.stem}")


def _bring_up(copy: Path, tree: kernel.KernelTree) -> None:
    """Copies what was built, once for each configuration, which names version and compilers.

    A new copy costs minutes: kbuild compiles Rust's core library again, because its commands name
    the tree. No hard links: kbuild writes its .cmd files in place.
    """
    stamp, config = copy / ".kvm_rs-copied", (tree.path / ".config").read_text()
    if stamp.exists() and stamp.read_text() == config and not os.environ.get("KERNEL_SRC"):
        return
    stamp.unlink(missing_ok=True)
    if not copy.exists():
        build_machine.need_space(paths.cache(), packages.TREE_GB, "a copy of the kernel tree")
    with ui.step("copying the base kernel's tree") as shown:
        argv = ["rsync", "-a", "--delete", f"{tree.path}/", f"{copy}/"]
        proc.run_logged(toolroot.command(argv), "prefix-copy", shown)
    stamp.write_text(config)


def _compile(copy: Path, title: str) -> None:
    jobs = os.cpu_count() or 1
    argv = ["make", "-C", str(copy), "LLVM=1", f"-j{jobs + 1}", FOLDER]
    with ui.step(title) as shown:
        proc.run_logged(toolroot.command(argv, env=kernel.NAMES), "prefix-build", shown)
