# SPDX-License-Identifier: GPL-2.0
"""The same random histories on a VM on C and on one on Rust, on NPT: is there any difference?

On EPT, test-ept does this too (--only differential).
"""

from argparse import ArgumentParser, Namespace

from ..base import words
from ..stages import differential


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--seconds",
        type=words.whole(1),
        default=differential.SECONDS,
        metavar="N",
        help="for C next to C, and again for Rust next to C",
    )
    parser.add_argument("--seed", type=words.whole(), metavar="N", help="of a run to repeat")


def main(options: Namespace) -> int:
    return differential.run(options.seconds, options.seed).close()
