# SPDX-License-Identifier: GPL-2.0
"""The module with a bug that a debug kernel must report: selftests/planted/<flavor>.patch.

The head of a patch says what the bug is. Its lines `Says: text` are what the kernel says of it, each
in a line after the one before. In a text, `...` stands for anything.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Dict, List

from ..base import paths
from ..base.errors import KvmrsError
from ..tools import git_apply
from . import model_copy, module
from .kernel import KernelTree

FOLDER = paths.REPO / "selftests" / "planted"
INSIDE = "/modules/planted/kvm_rs.ko"
SOURCES = ("Kbuild", "main.rs", "pfncache", "rust", "tdp_mmu", "xen")


def says(flavor: str) -> List[str]:
    """What the kernel of that flavor says of its bug."""
    found = re.findall(r"^Says: (.+)$", _patch(flavor).read_text(), re.MULTILINE)
    if not found:
        raise KvmrsError(f"{_patch(flavor).name} does not say how its bug shows", "add a line Says:")
    return found


def ensure(tree: KernelTree, flavor: str) -> Path:
    """The module with that flavor's bug, for that kernel."""
    source = paths.of_checkout(f"planted-{flavor}")
    model_copy.sync(source, sources(flavor))
    return module.ensure(tree, source)


def sources(flavor: str) -> Dict[str, bytes]:
    """Its files. They are compared as a whole, so that what has not changed keeps its time."""
    with tempfile.TemporaryDirectory(prefix="kvmrs-planted-") as folder:
        changed = Path(folder)
        for name in SOURCES:
            _copy(paths.REPO / name, changed / name)
        git_apply.apply(changed, [_patch(flavor)])
        files = [path for path in changed.rglob("*") if path.is_file()]
        return {str(path.relative_to(changed)): path.read_bytes() for path in files}


def _copy(origin: Path, place: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, place)
    else:
        shutil.copy(origin, place)


def _patch(flavor: str) -> Path:
    patch = FOLDER / f"{flavor}.patch"
    if not patch.exists():
        raise KvmrsError(f"no bug is planted for {flavor}", f"write {patch.relative_to(paths.REPO)}")
    return patch
