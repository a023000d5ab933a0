# SPDX-License-Identifier: GPL-2.0
"""The project's own selftests, those of selftests/rust and of selftests/c, in one boot."""

from argparse import ArgumentParser, Namespace

from ..base import words
from ..stages import own_selftests
from ..suite import own_tests
from ..suite.testlist import BACKENDS


def add_arguments(parser: ArgumentParser) -> None:
    words.add_only(parser, own_tests.names())
    parser.add_argument("--backend", choices=BACKENDS, help="one backend instead of both")


def main(options: Namespace) -> int:
    backends = [options.backend] if options.backend else list(BACKENDS)
    return own_selftests.run(options.only, backends).close()
