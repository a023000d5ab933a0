# SPDX-License-Identifier: GPL-2.0
"""Libraries that every program in the test machine loads before its own, if it is linked dynamically."""

import tempfile
from pathlib import Path
from typing import Dict

from ..base import paths, proc, ui
from ..tools import toolroot

CHECK_TABLES = paths.REPO / "selftests" / "preload" / "check_tables.c"
"""Checks the page tables of each VM that a program in C has made."""
FLAGS = ["-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-shared", "-fPIC"]


def files(*sources: Path) -> Dict[str, Path]:
    """The libraries made of `sources`, and the file that has programs load them, for the initramfs."""
    libraries = {f"/lib/{source.stem}.so": library(source) for source in sources}
    listed = paths.of_checkout("+".join(source.stem for source in sources) + ".preload")
    with tempfile.TemporaryDirectory(dir=paths.cache()) as folder:
        fresh = Path(folder, listed.name)
        fresh.write_text("".join(f"{inside}\n" for inside in libraries))
        fresh.replace(listed)
    return {**libraries, "/etc/ld.so.preload": listed}


def library(source: Path) -> Path:
    """The library made of one file of C."""
    built = paths.of_checkout(f"{source.stem}.so")
    with ui.step(source.name) as shown, tempfile.TemporaryDirectory(dir=paths.cache()) as folder:
        fresh = Path(folder, built.name)
        command = toolroot.command(["clang", *FLAGS, "-o", str(fresh), str(source)])
        proc.run_logged(command, f"{source.stem}-build", shown)
        fresh.replace(built)
    return built
