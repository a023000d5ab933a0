# SPDX-License-Identifier: GPL-2.0
"""kvm_rs.ko for one kernel tree, built outside the checkout (kbuild's MO=)."""

import os
import re
from pathlib import Path
from typing import Callable, List, Sequence

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import toolroot
from .kernel import KernelTree


def ensure(tree: KernelTree, source: Path = paths.REPO) -> Path:
    """Path of kvm_rs.ko for that kernel; make decides what must be compiled. `source` may be a copy of
    the checkout that was changed."""
    what = "module" if source == paths.REPO else re.sub("-[^-]*$", "", source.name)
    output = output_of(tree, what)
    with lock.hold(f"building the {what}", output.name), ui.step(
        f"kvm_rs.ko for {tree.release}{'' if what == 'module' else f' ({what})'}"
    ) as shown:
        argv = kbuild(tree, output, "modules", source=source)
        proc.run_logged(argv, what, shown, on_line=_watch(shown))
    return output / "kvm_rs.ko"


def kbuild(
    tree: KernelTree, output: Path, *words: str, mounts: Sequence[Path] = (), source: Path = paths.REPO
) -> List[str]:
    """The command line of an out-of-tree build with further words for make."""
    if (paths.REPO / "modules.order").exists():
        raise KvmrsError(
            "the checkout holds the objects of a build in place, kbuild wants it clean",
            f"make -C {tree.path} M={paths.REPO} LLVM=1 clean",
        )
    output.mkdir(parents=True, exist_ok=True)
    return toolroot.command(
        [
            "make",
            "-C",
            str(tree.path),
            f"M={source}",
            f"MO={output}",
            "LLVM=1",
            f"-j{os.cpu_count() or 1}",
            *words,
        ],
        mounts=mounts,
    )


def output_of(tree: KernelTree, kind: str = "module") -> Path:
    """A directory per kernel and checkout: objects for one never mix with another's."""
    return paths.of_checkout(f"{kind}-{tree.key}")


def _watch(shown: ui.step) -> Callable[[str], None]:
    """Shows what kbuild works on, and every warning in full: the build must have none."""

    def see(line: str) -> None:
        if line.startswith("  "):
            shown.progress(text=line.strip())
        elif line.startswith("warning"):
            ui.say(line.rstrip())

    return see
