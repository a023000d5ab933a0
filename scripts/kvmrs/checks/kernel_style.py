# SPDX-License-Identifier: GPL-2.0
"""checkpatch, the kernel's own check of style, for the patches and the C files."""

from typing import List

from ..base import proc, ui
from ..build import kernel, series
from ..tools import toolroot
from . import rust_text


def patches() -> None:
    """The kernel patches. Checkpatch asks for a line in MAINTAINERS, which they leave alone."""
    _checkpatch(["--ignore", "FILE_PATH_CHANGES", *map(str, series.patches())], "checkpatch-series")


def c_files() -> None:
    """The project's own C files."""
    files = [str(path) for path in rust_text.files((".c", ".h"))]
    _checkpatch(["--file", *files], "checkpatch-c")


def _checkpatch(words: List[str], name: str) -> None:
    tree = kernel.ensure()
    with ui.step(name) as shown:
        proc.run_logged(
            toolroot.command(
                ["perl", "scripts/checkpatch.pl", "--quiet", "--color=never", "--show-types", *words],
                cwd=tree.path,
            ),
            name,
            shown,
        )
