# SPDX-License-Identifier: GPL-2.0
"""How far a kernel build is: objects made, against the number that the last one made."""

import os
from pathlib import Path
from typing import Callable

from ..base import paths, ui

FIRST_GUESS = 1530
"""Objects of the base flavor, for the first build of a machine."""

COMPILED = ("CC", "AS", "RUSTC", "HOSTCC")


def watch(shown: ui.step, tree: Path, flavor: str) -> Callable[[str], None]:
    """A line handler for make's output that keeps `shown` up to date.

    Objects that are there already count as done, so that a build that was interrupted goes
    on at its percentage. A nearly complete tree shows only what is rebuilt.
    """
    before, total = count(tree), _expected(flavor)
    made = 0

    def see(line: str) -> None:
        nonlocal made
        words = line.split()
        if not line.startswith("  ") or len(words) < 2:
            return
        made += words[0] in COMPILED
        name = words[-1]
        if before + made >= total:
            shown.progress(text=f"{made} rebuilt, now {name}")
        else:
            shown.progress(before + made, total, name)

    return see


def count(tree: Path) -> int:
    """Objects of a tree: kbuild leaves an .o.cmd file for each."""
    return sum(name.endswith(".o.cmd") for _, _, names in os.walk(tree) for name in names)


def remember(tree: Path, flavor: str) -> None:
    _file(flavor).write_text(f"{count(tree)}\n")


def _expected(flavor: str) -> int:
    return int(_file(flavor).read_text()) if _file(flavor).exists() else FIRST_GUESS


def _file(flavor: str) -> Path:
    return paths.cache() / f"objects-{flavor}"
