# SPDX-License-Identifier: GPL-2.0
"""The Debian packages that building, booting and testing need, and how apt is called."""

import hashlib
from typing import List

SUITE = "trixie"
"""Debian 13: the first whose rustc, bindgen and LLVM are new enough for Linux 7.3."""

SOURCE = "linux-source-7.3"
SOURCE_SUITE = "trixie-backports"

PACKAGES = sorted(
    """
    build-essential flex bison bc cpio kmod rsync xz-utils python3 ca-certificates
    libelf-dev libssl-dev libnuma-dev libcap-ng-dev uuid-dev
    clang lld llvm rustc rust-src rustfmt rust-clippy bindgen cargo
    qemu-system-x86 busybox-static
""".split()
)

BOCHS = sorted(
    """
    bochs bochs-term bochsbios vgabios grub-common grub-pc-bin xorriso mtools
""".split()
)
"""An emulated Intel processor and what it boots from; `test-ept` alone needs them."""

MYPY = ["mypy"]
BLACK = ["black"]
"""They check the types and the format of the scripts; `static` and `fmt` alone need them."""

GIT = ["git"]
"""For machines that have no git: it applies the patches."""

VNG = ["virtme-ng", "udev", "iproute2"]
"""virtme-ng, and what its init finds its devices with; `vng` and `test` alone need them."""

GUEST_KERNEL = "linux-image-cloud-amd64"
"""A kernel that knows Xen; `xen` and `test` alone need it. It is unpacked, not installed."""

XEN = "xen-system-amd64"
"""It names the package that has the PV shim; `xen --guest` alone needs it. It is unpacked as well."""

LATER = {
    "black": ("black", "fmt, static and test"),
    "mypy": ("mypy", "static and test"),
    "bochs": ("bochs-bin", "test-ept and test"),
    "vng": ("vng", "vng and test"),
}
"""What comes with its first use: feature, its program, the commands that use it."""

DISK_GB = 10
"""For `make test` from nothing: tools 3 GB, a built kernel 2.5 GB, crates 2 GB, the rest, downloads."""

MEMORY_GB = 7.5
"""The test machine has 6 GB; compilers need less."""

TREE_GB = 4
"""For one more kernel tree."""

CONFIGURE = ["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--configure", "-a"]
"""Goes on where an installation broke off; apt-get refuses to do anything before."""


def apt_get(*words: str) -> List[str]:
    """apt-get that never asks, retries, and keeps the log free of a terminal's tricks."""
    return [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-y",
        "-q",
        "-o",
        "Acquire::Retries=3",
        "-o",
        "Dpkg::Use-Pty=0",
        *words,
    ]


def install(*names: str) -> List[str]:
    return apt_get("--no-install-recommends", "install", *names)


def key() -> str:
    """Names a root by its contents, so that a new list of packages gets a new root."""
    text = "\n".join([SUITE, *PACKAGES])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
