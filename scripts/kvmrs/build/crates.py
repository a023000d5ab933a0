# SPDX-License-Identifier: GPL-2.0
"""The project's crates outside of the kernel, and how cargo builds and tests them."""

import os
from pathlib import Path
from typing import Dict, List, Mapping, Optional

from ..base import paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import toolroot

MODEL = paths.REPO / "selftests" / "model"
"""The MMU compiled for user space, with its tests."""
RUNNER = paths.REPO / "selftests" / "runner"
"""The test machine's /init."""
TOOL = paths.REPO / "tools" / "kvmrs"
"""What shows users the inside of their VMs."""
TARGET = "x86_64-unknown-linux-gnu"


def runner() -> Path:
    """The static runner."""
    return static_program(RUNNER, "kvmrs-runner", "the test machine's init")


def static_program(crate: Path, program: str, what: str) -> Path:
    """A program for the test machine; cargo itself knows whether there is anything to build.

    What the crates share is built once, in one folder.
    The target is named so that +crt-static does not reach build scripts and macros.
    """
    folder = paths.of_checkout("programs")
    with ui.step(f"building {what}") as shown:
        argv = [
            "cargo",
            "build",
            "--release",
            "--locked",
            "--target",
            TARGET,
            "--target-dir",
            str(folder),
        ]
        env = {"RUSTFLAGS": "-C target-feature=+crt-static"}
        proc.run_logged(toolroot.command(argv, crate, env=env), f"{crate.name}-build", shown)
    return folder / TARGET / "release" / program


def cargo(
    words: List[str], name: str, crate: Path = MODEL, env: Optional[Mapping[str, str]] = None
) -> None:
    """Runs cargo in a crate; `name` is the step and its log."""
    if not (crate / "Cargo.toml").exists():
        raise KvmrsError(f"{crate} holds no crate", "the checkout is not complete: clone it again")
    argv = ["cargo", words[0], f"-j{os.cpu_count() or 1}", *words[1:]]
    with ui.step(name) as shown:
        proc.run_logged(
            toolroot.command(argv, cwd=crate, env={**environment(crate), **(env or {})}), name, shown
        )


def environment(crate: Path) -> Dict[str, str]:
    """Products lie in the cache, output is for a log."""
    return {"CARGO_TARGET_DIR": str(paths.cache() / f"{crate.name}-target"), "CARGO_TERM_COLOR": "never"}
