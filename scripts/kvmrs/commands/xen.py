# SPDX-License-Identifier: GPL-2.0
"""Linux guests that take the host for Xen, in QEMU, on C and on Rust.

    xen [--guest hvm|shim|all] [c|rust]
    xen --guest moves

The HVM guest is Linux itself. The shim is Xen, which runs as such a guest and has a PV guest of its own. The guest
that moves is an HVM guest, and goes from one backend to the other.
"""

from argparse import ArgumentParser, Namespace

from ..base.errors import KvmrsError
from ..stages import xen
from ..suite.testlist import BACKENDS

ALL = "all"
MOVES = "moves"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("backend", nargs="?", choices=BACKENDS, help="one backend instead of both")
    parser.add_argument(
        "--guest", choices=[*xen.GUESTS, ALL, MOVES], default=xen.HVM, help=f"instead of {xen.HVM}"
    )


def main(options: Namespace) -> int:
    if options.guest == MOVES:
        if options.backend:
            raise KvmrsError("this guest goes to both backends", "name none")
        return xen.moves().close()
    backends = [options.backend] if options.backend else list(BACKENDS)
    guests = list(xen.GUESTS) if options.guest == ALL else [options.guest]
    return xen.run(backends, guests).close()
