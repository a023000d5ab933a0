# SPDX-License-Identifier: GPL-2.0
"""The module's life: load and unload, refusals, VMs of both backends at once."""

from argparse import ArgumentParser, Namespace

from ..base import words
from ..stages import life


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rounds",
        type=words.whole(1),
        default=life.ROUNDS,
        metavar="N",
        help="how often to load and unload",
    )


def main(options: Namespace) -> int:
    return life.run(options.rounds).close()
