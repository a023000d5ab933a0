# SPDX-License-Identifier: GPL-2.0
"""Linux guests that take the host for Xen, in QEMU, on C and on Rust.

    xen [--guest hvm|shim|all] [c|rust]

The HVM guest is Linux itself. The shim is Xen, which runs as such a guest and has a PV guest of its own.
"""

from argparse import ArgumentParser, Namespace

from ..stages import xen
from ..suite.testlist import BACKENDS

ALL = "all"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("backend", nargs="?", choices=BACKENDS, help="one backend instead of both")
    parser.add_argument(
        "--guest", choices=[*xen.GUESTS, ALL], default=xen.HVM, help=f"instead of {xen.HVM}"
    )


def main(options: Namespace) -> int:
    backends = [options.backend] if options.backend else list(BACKENDS)
    guests = list(xen.GUESTS) if options.guest == ALL else [options.guest]
    return xen.run(backends, guests).close()
