# SPDX-License-Identifier: GPL-2.0
"""A Linux guest that migrates live in QEMU between VMs on C and VMs on Rust."""

from argparse import Namespace

from ..stages import migrate


def main(_: Namespace) -> int:
    return migrate.run().close()
