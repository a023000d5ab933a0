# SPDX-License-Identifier: GPL-2.0
"""A Linux guest that takes the host for Xen, in QEMU, on C and on Rust."""

from argparse import ArgumentParser, Namespace

from ..stages import xen
from ..suite.testlist import BACKENDS


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("backend", nargs="?", choices=BACKENDS, help="one backend instead of both")


def main(options: Namespace) -> int:
    backends = [options.backend] if options.backend else list(BACKENDS)
    return xen.run(backends).close()
