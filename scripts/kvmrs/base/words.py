# SPDX-License-Identifier: GPL-2.0
"""The words of a command line: what is not known is refused before anything is done."""

import argparse
import sys
from typing import Callable, List, NoReturn, Optional, Sequence

from . import ui

PROGRAM = "scripts/kvmrs.sh"
REFUSED = 2
"""The exit code for a command line that cannot be meant."""


class _Paragraphs(argparse.HelpFormatter):
    """A description has paragraphs, which the screen's width makes lines of. Indented ones stay."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            part if part.startswith(" ") else super(_Paragraphs, self)._fill_text(part, width, indent)
            for part in text.strip("\n").split("\n\n")
        )


class Parser(argparse.ArgumentParser):
    """Takes no abbreviations. A refusal is one line."""

    def __init__(self, prog: str = PROGRAM, **options: object) -> None:
        super().__init__(
            prog=prog,
            allow_abbrev=False,
            formatter_class=_Paragraphs,
            **options,  # type: ignore[arg-type]
        )

    def exit(self, status: int = 0, message: Optional[str] = None) -> NoReturn:
        """Whoever asked for help must have got it."""
        sys.stdout.flush()
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        ui.show_error(f"{message}; see {self.prog} --help")
        sys.exit(REFUSED)


def whole(least: int = 0) -> Callable[[str], int]:
    """A whole number of at least `least`."""

    def number(word: str) -> int:
        if not (word.isascii() and word.isdigit()) or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word!r} is no whole number from {least} on")
        return int(word)

    return number


def names(known: Optional[Sequence[str]] = None) -> Callable[[str], List[str]]:
    """Names with commas between them; of `known` ones, where these are known in advance."""

    def split(text: str) -> List[str]:
        found = text.split(",")
        unknown = [name for name in found if not name or known is not None and name not in known]
        if unknown:
            there = f"; there are: {', '.join(known)}" if known is not None else ""
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}{there}")
        return found

    return split


def one(known: Sequence[str]) -> Callable[[str], str]:
    """One of the `known` names. Of an argument that may be left out, argparse checks no choices."""
    return lambda word: names(known)(word)[0]


def add_only(parser: argparse.ArgumentParser, known: Optional[Sequence[str]] = None) -> None:
    """--only, for some of what a command would run."""
    parser.add_argument(
        "--only", type=names(known), default=[], metavar="NAME[,NAME...]", help="these alone"
    )
