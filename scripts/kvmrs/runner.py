# SPDX-License-Identifier: GPL-2.0
"""Builds the programs that run in the test machine, the one that is its /init first."""

from pathlib import Path

from . import paths, proc, toolroot, ui

CRATE = paths.REPO / "selftests" / "runner"
TARGET = "x86_64-unknown-linux-gnu"


def ensure() -> Path:
    """The static runner."""
    return static_program(CRATE, "kvmrs-runner", "the test machine's init")


def static_program(crate: Path, program: str, what: str) -> Path:
    """A program of a crate of ours; cargo itself knows whether there is anything to build.

    The target is named so that +crt-static does not reach build scripts and macros.
    """
    folder = paths.of_checkout(crate.name)
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
        proc.run_logged(
            toolroot.command(argv, crate, env=env),
            f"{crate.name}-build",
            shown,
            hint="check the network (crates come from the registry once)",
        )
    return folder / TARGET / "release" / program
