# SPDX-License-Identifier: GPL-2.0
"""Removes results and build products; with --all, the tools and the kernel source as well.

It waits for every run that builds something, so that no run loses the tree that it works in.
"""

import contextlib
import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..base import lock, paths, ui
from ..base.errors import KvmrsError

KEPT = ("root-", "source", "cargo")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="the tools and the kernel source, too")


def main(options: Namespace) -> int:
    with contextlib.ExitStack() as held:
        for part in lock.folder().iterdir():
            held.enter_context(lock.hold("cleaning", part.name))
        doomed = [
            path
            for path in paths.cache().iterdir()
            if path != lock.folder() and (options.all or not path.name.startswith(KEPT))
        ]
        for path in [*doomed, paths.out()]:
            _remove(path)
    return 0


def _remove(path: Path) -> None:
    """Never follows a mount: a root that something is mounted in stays, with an error."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [place for place in mounts if place == str(path) or place.startswith(f"{path}/")]
    if inside:
        raise KvmrsError(f"{inside[0]} is a mount", f"umount {inside[0]} and try again")
    with ui.step(f"removing {path}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
