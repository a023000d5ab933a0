# SPDX-License-Identifier: GPL-2.0
"""Xen's PV shim: a Xen that runs as a guest of Xen, and has one paravirtualised guest of its own."""

from pathlib import Path

from ..tools import packages
from . import unpacked

FOLDER = "xen-shim"
IMAGE = "usr/lib/xen-*/boot/xen-shim"


def ensure() -> Path:
    """As QEMU loads it. Fetched where there is none yet."""
    folder = unpacked.ensure(FOLDER, "Xen's PV shim", packages.XEN, "xen-utils-")
    return next(folder.glob(IMAGE))
