# SPDX-License-Identifier: GPL-2.0
"""The distribution's own kernel, as a guest that was made for other hypervisors as well."""

import lzma
from dataclasses import dataclass
from pathlib import Path

from ..base import lock
from ..tools import packages
from . import unpacked

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
        with lock.hold(f"unpacking {name}.ko", FOLDER):
            if not plain.exists():
                packed = next((self.folder / MODULES).glob(f"**/{name}.ko.xz"))
                written = plain.with_suffix(".part")
                written.write_bytes(lzma.decompress(packed.read_bytes()))
                written.replace(plain)
        return plain


def ensure() -> GuestKernel:
    """Fetched where there is none yet."""
    return GuestKernel(
        unpacked.ensure(FOLDER, "kernel for guests", packages.GUEST_KERNEL, "linux-image")
    )
