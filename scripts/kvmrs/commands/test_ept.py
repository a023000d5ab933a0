# SPDX-License-Identifier: GPL-2.0
"""MMU selftests on an emulated Intel processor, the kernel's and the project's own, on C and on Rust,
with and without A/D bits and PML."""

from argparse import ArgumentParser, Namespace

from ..base import words
from ..stages import selftests_ept
from ..stages.selftests_ept import MODES
from ..suite.testlist import BACKENDS


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--mode", choices=MODES, help="one mode instead of all")
    words.add_only(parser)
    parser.add_argument("--backend", choices=BACKENDS, help="one backend instead of both")


def main(options: Namespace) -> int:
    chosen = selftests_ept.Options(
        [options.mode] if options.mode else list(MODES),
        options.only,
        [options.backend] if options.backend else list(BACKENDS),
    )
    return selftests_ept.run(chosen).close()
