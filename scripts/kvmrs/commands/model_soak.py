# SPDX-License-Identifier: GPL-2.0
"""The model checkers with other random numbers in each round, until interrupted; see docs/model.md."""

from argparse import ArgumentParser, Namespace

from ..base import words
from ..stages import model


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "seconds", nargs="?", type=words.whole(1), default=model.Goal.seconds, help="end after this time"
    )
    parser.add_argument(
        "--schedules",
        type=words.whole(1),
        default=model.Goal.schedules,
        metavar="N",
        help="end after so many of shuttle's schedules",
    )
    words.add_only(parser, model.SHUTTLE.functions())


def main(options: Namespace) -> int:
    model.soak(model.Goal(options.seconds, options.schedules, options.only))
    return 0
