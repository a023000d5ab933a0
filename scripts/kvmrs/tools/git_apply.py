# SPDX-License-Identifier: GPL-2.0
"""Applies patches with `git apply`, which allows no fuzz: every line of context must fit.

No repository and no settings of the user take part. In a folder of a repository git would skip
the files of other folders without a word.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Sequence

from ..base.errors import KvmrsError
from . import packages, toolroot

ALONE = ("env", "LC_ALL=C", "GIT_DIR=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")


def apply(tree: Path, patches: Sequence[Path], reverse: bool = False) -> None:
    """Applies all patches to `tree`, or takes all back; if one does not fit, nothing is changed.

    They are checked as one input and applied one by one: where one patch of an input changes a
    file and a later one removes it, git leaves that file behind.
    """
    problem = problem_of(tree, patches, reverse)
    for patch in reversed(patches) if reverse else patches:
        problem = problem or _run(tree, [patch], reverse, [])
    if problem:
        raise KvmrsError(f"git apply failed in {tree}", details=problem)


def problem_of(tree: Path, patches: Sequence[Path], reverse: bool = False) -> str:
    """What git complains of, empty if all patches fit, or there are none. Nothing is changed."""
    return _run(tree, patches, reverse, ["--check"]) if patches else ""


def _run(tree: Path, patches: Sequence[Path], reverse: bool, options: Sequence[str]) -> str:
    argv = [*ALONE, "git", "apply", "--whitespace=nowarn", *options]
    argv += ["--reverse"] if reverse else []
    if shutil.which("git") is None:
        toolroot.add("git", "git", packages.GIT)
        argv = toolroot.command(argv, cwd=tree, mounts=[tree])
    done = subprocess.run(
        argv,
        cwd=tree,
        input=b"".join(patch.read_bytes() for patch in patches),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return (done.stdout.decode(errors="replace") or "git apply failed") if done.returncode else ""
