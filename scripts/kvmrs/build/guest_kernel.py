# SPDX-License-Identifier: GPL-2.0
"""The distribution's own kernel, as a guest that was made for other hypervisors as well.

Nothing is installed: its package is unpacked into the cache.
"""

import lzma
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import packages, toolroot

FOLDER = "guest-kernel"
MODULES = "usr/lib/modules"


@dataclass(frozen=True)
class GuestKernel:
    """What its package has."""

    folder: Path

    @property
    def image(self) -> Path:
        """As QEMU loads it."""
        return next(self.folder.glob("boot/vmlinuz-*"))

    def module(self, name: str) -> Path:
        """A module as insmod takes it: the package has it compressed."""
        plain = self.folder / f"{name}.ko"
        if not plain.exists():
            packed = next((self.folder / MODULES).glob(f"**/{name}.ko.xz"))
            plain.write_bytes(lzma.decompress(packed.read_bytes()))
        return plain


def ensure() -> GuestKernel:
    """Fetched where there is none yet."""
    toolroot.ensure()
    folder = paths.cache() / FOLDER
    with lock.hold("fetching the guest's kernel", FOLDER):
        if not folder.exists():
            part = folder.with_name(f"{FOLDER}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            _fetch(part)
            part.rename(folder)
    return GuestKernel(folder)


def _fetch(folder: Path) -> None:
    """Lists that are not from today may name a package that is not there any more."""
    with ui.step(f"kernel for guests: {packages.GUEST_KERNEL}") as shown:

        def run(*words: str) -> str:
            command = toolroot.command(words, cwd=folder)
            return proc.run_logged(command, FOLDER, shown, append=True, hint=proc.NETWORK)

        run(*packages.apt_get("update"))
        run(*packages.apt_get("download", _package()))
        archive = next(folder.glob("*.deb"))
        run("dpkg-deb", "-x", archive.name, ".")
        archive.unlink()


def _package() -> str:
    """The package that has the kernel; the one that people install only names it."""
    said = toolroot.output(["apt-cache", "depends", packages.GUEST_KERNEL])
    names = [line.split()[1] for line in said.splitlines() if "Depends: linux-image" in line]
    if not names:
        raise KvmrsError(f"{packages.GUEST_KERNEL} names no kernel", "run apt-get update and try again")
    return names[0]
