# SPDX-License-Identifier: GPL-2.0
"""kvm_rs.ko for one kernel tree, built outside the checkout (kbuild's MO=)."""

import json
import os
from pathlib import Path
from typing import Callable, List, Sequence

from . import kernel, lock, paths, privilege, proc, toolroot, ui
from .errors import KvmrsError
from .kernel import KernelTree


def ensure(tree: KernelTree) -> Path:
    """Path of kvm_rs.ko for that kernel; make decides what must be compiled."""
    output = output_of(tree)
    with lock.hold("building the module", output.name), ui.step(
        f"kvm_rs.ko for {tree.release}"
    ) as shown:
        proc.run_logged(kbuild(tree, output, "modules"), "module", shown, on_line=_watch(shown))
    return output / "kvm_rs.ko"


def kbuild(tree: KernelTree, output: Path, *words: str, mounts: Sequence[Path] = ()) -> List[str]:
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
            f"M={paths.REPO}",
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


def main(_: List[str]) -> int:
    """module"""
    print(ensure(kernel.ensure()))
    return 0


def main_install(_: List[str]) -> int:
    """install: into the modules of this machine, or of the root INSTALL_MOD_PATH.

    The tools may be in a root of their own: the target is shown there at its own path.
    """
    tree = kernel.ensure()
    ensure(tree)
    target = Path(os.environ.get("INSTALL_MOD_PATH") or "/").absolute()
    modules = target / "lib" / "modules"
    try:
        modules.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        privilege.become_root(f"installing into {modules}")
    words = [f"INSTALL_MOD_PATH={target}", "modules_install"]
    with ui.step(f"installing kvm_rs.ko into {modules / tree.release}") as shown:
        proc.run_logged(
            kbuild(tree, output_of(tree), *words, mounts=[modules]),
            "install",
            shown,
            hint="without root: INSTALL_MOD_PATH=<directory>",
        )
    return 0


def main_rust_analyzer(_: List[str]) -> int:
    """rust-analyzer: rust-project.json in the checkout, for an editor on the host.

    kbuild writes paths as the tools see them. Those of the checkout and the cache are the
    host's too; only the standard library's lie inside the tools root and are led there.
    """
    tree = kernel.ensure()
    ensure(tree)
    output = output_of(tree)
    with ui.step("rust-project.json") as shown:
        proc.run_logged(kbuild(tree, output, "rust-analyzer"), "rust-analyzer", shown)
    written = output / "rust-project.json"
    if not written.exists():
        raise KvmrsError("kbuild wrote no rust-project.json", "see out/logs/rust-analyzer.log")
    text = json.dumps(json.loads(written.read_text()), indent=1)
    target = paths.REPO / "rust-project.json"
    target.write_text(text.replace('"/usr/lib/', f'"{toolroot.file("/usr/lib/")}/'))
    print(target)
    return 0


def _watch(shown: ui.step) -> Callable[[str], None]:
    """Shows what kbuild works on, and every warning in full: the build must have none."""

    def see(line: str) -> None:
        if line.startswith("  "):
            shown.progress(text=line.strip())
        elif line.startswith("warning"):
            ui.say(line.rstrip())

    return see
