# SPDX-License-Identifier: GPL-2.0
"""The kernel's KVM selftests on C and on Rust in one boot."""

from argparse import ArgumentParser, Namespace

from ..base import words
from ..stages import selftests
from ..suite.testlist import BACKENDS, TIMEOUT


def add_arguments(parser: ArgumentParser) -> None:
    words.add_only(parser)
    parser.add_argument("--backend", choices=BACKENDS, help="one backend instead of both")
    parser.add_argument(
        "--timeout", type=words.whole(1), default=TIMEOUT, metavar="SECONDS", help="of each test"
    )
    parser.add_argument("args", nargs="*", help="arguments for the tests, after --")


def main(options: Namespace) -> int:
    backends = [options.backend] if options.backend else list(BACKENDS)
    chosen = selftests.Options(options.only, backends, options.timeout, options.args or None)
    return selftests.run(chosen).close()
