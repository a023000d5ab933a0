# SPDX-License-Identifier: GPL-2.0
"""Packages of the distribution that are unpacked into the cache and not installed."""

import shutil
from pathlib import Path

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import packages, toolroot


def ensure(folder: str, what: str, names: str, begin: str) -> Path:
    """What is in the package that `names` depends on and whose name begins so; fetched where there is
    none yet. People install the one that only names it: its name stays when the version changes."""
    toolroot.ensure()
    unpacked = paths.cache() / folder
    with lock.hold(f"fetching {what}", folder):
        if not unpacked.exists():
            part = unpacked.with_name(f"{folder}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            with ui.step(f"{what}: {names}") as shown:
                _fetch(part, folder, shown, names, begin)
            part.rename(unpacked)
    return unpacked


def _fetch(folder: Path, log: str, shown: ui.step, names: str, begin: str) -> None:
    """Lists that are not from today may name a package that is not there any more."""

    def run(*words: str) -> None:
        command = toolroot.command(words, cwd=folder)
        proc.run_logged(command, log, shown, append=True, hint=proc.NETWORK)

    run(*packages.apt_get("update"))
    run(*packages.apt_get("download", _package(names, begin)))
    archive = next(folder.glob("*.deb"))
    run("dpkg-deb", "-x", archive.name, ".")
    archive.unlink()


def _package(names: str, begin: str) -> str:
    said = toolroot.output(["apt-cache", "depends", names])
    found = [line.split()[1] for line in said.splitlines() if f"Depends: {begin}" in line]
    if not found:
        raise KvmrsError(f"{names} names no {begin}*", "run apt-get update and try again")
    return found[0]
