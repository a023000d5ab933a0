# SPDX-License-Identifier: GPL-2.0
"""The model checkers with other random numbers in each round, until interrupted; see docs/model.md."""

from argparse import ArgumentParser, Namespace

from ..base import words
from ..stages import model


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "seconds", nargs="?", type=words.whole(1), default=float("inf"), help="end after this time"
    )


def main(options: Namespace) -> int:
    model.soak(options.seconds)
    return 0
