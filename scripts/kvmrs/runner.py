# SPDX-License-Identifier: GPL-2.0
"""Builds the program that is /init in the test machine."""

from pathlib import Path

from . import paths, proc, toolroot, ui

CRATE = paths.REPO / "selftests" / "runner"
TARGET = "x86_64-unknown-linux-gnu"


def ensure() -> Path:
    """The static runner; cargo itself knows whether there is anything to build.

    The target is named so that +crt-static does not reach build scripts and macros.
    """
    folder = paths.cache() / "runner"
    with ui.step("building the test machine's init") as shown:
        argv = ["cargo", "build", "--release", "--locked", "--target", TARGET,
                "--target-dir", str(folder)]
        env = {"RUSTFLAGS": "-C target-feature=+crt-static"}
        proc.run_logged(toolroot.command(argv, CRATE, env=env), "runner-build", shown,
                        hint="check the network (crates come from the registry once)")
    return folder / TARGET / "release" / "kvmrs-runner"
