# SPDX-License-Identifier: GPL-2.0
"""Copies of what the model crate is made of, to be changed and built elsewhere."""

import re
from pathlib import Path
from typing import Dict, Iterator, Tuple

from ..base import paths

PARTS = ("pfncache", "tdp_mmu", "xen", "rust", "selftests/model")
WORKSPACE, LOCK = "selftests/Cargo.toml", "selftests/Cargo.lock"


def sources() -> Dict[str, bytes]:
    """The files of the checkout that the model crate compiles, by name, and its workspace."""
    found = {name: path.read_bytes() for part in PARTS for name, path in _files(paths.REPO, part)}
    return {
        **found,
        WORKSPACE: _of_model_alone((paths.REPO / WORKSPACE).read_text()).encode(),
        LOCK: (paths.REPO / LOCK).read_bytes(),
    }


def _of_model_alone(workspace: str) -> str:
    """The other members are not in the copy."""
    return re.sub(r"^members = .*$", 'members = ["model"]', workspace, flags=re.MULTILINE)


def sync(tree: Path, wanted: Dict[str, bytes]) -> None:
    """Makes `tree` what is wanted. Files that are right keep their times, for cargo."""
    tree.mkdir(parents=True, exist_ok=True)
    for name, path in list(_files(tree)):
        if name not in wanted:
            path.unlink()
    for name, data in wanted.items():
        path = tree / name
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _files(tree: Path, part: str = ".") -> Iterator[Tuple[str, Path]]:
    for path in (tree / part).rglob("*"):
        if path.is_file() and "target" not in path.relative_to(tree).parts:
            yield str(path.relative_to(tree)), path
