# SPDX-License-Identifier: GPL-2.0
"""A Linux guest that migrates live between VMs on C and VMs on Rust, in one boot.

QEMU is the distribution's own. The program of selftests/rust knows where the guest goes, and how QEMU
asks for what the guest has written.
"""

from pathlib import Path
from typing import Dict

from ..base import paths
from ..build import kernel
from ..machine import preload
from ..suite import own_tests
from ..suite.results import Summary
from . import linux_guest

NAME = "migrate"
WAY = paths.REPO / "selftests" / "preload" / "dirty_log_way.c"
"""For QEMU alone: in the share it does not see the file that all programs load libraries by."""
TIMEOUT = 900
"""Seconds, on a slow and busy machine. The program itself waits for nothing so long."""


def run() -> Summary:
    """Its VMs are on both backends, so there is one run and not one for each."""
    test = own_tests.RustTest(NAME, TIMEOUT, mixed=True, shown=True)
    return linux_guest.run(NAME, [test], ["rust"], linux_guest.image(kernel.ensure()), libraries(WAY))


def libraries(*sources: Path) -> Dict[str, Path]:
    """The libraries made of `sources`, where the program finds them."""
    return {f"/guest/{source.stem}.so": preload.library(source) for source in sources}
