# SPDX-License-Identifier: GPL-2.0
"""KTAP on standard output, and the counts behind it."""

import sys
from collections import Counter
from typing import Counter as CounterType
from typing import Optional, Sequence

COLOURS = {"ok": "\033[32m", "not ok": "\033[31m", "#": "\033[2m"}

LONG = 10
"""Seconds from which the time of a test is worth a line."""


class Report:
    """One list of tests. Words that people look for stay plain: colour is for terminals."""

    def __init__(self, planned: Optional[int] = None) -> None:
        self.counts: CounterType[str] = Counter()
        self._number = 0
        _line("KTAP version 1")
        if planned is not None:
            _line(f"1..{planned}")

    def result(self, name: str, outcome: str, seconds: float, reason: str, tail: Sequence[str]) -> None:
        """One test has ended; failures and skips say why, now and not at the end."""
        self._number += 1
        self.counts[outcome] += 1
        word = "ok" if outcome in ("pass", "skip", "xfail") else "not ok"
        note = {
            "pass": "",
            "skip": f" # SKIP {reason}",
            "xfail": f" # XFAIL {reason}",
            "timeout": f" # TIMEOUT {reason}",
            "fail": f" # {reason}",
        }[outcome]
        if outcome in ("fail", "timeout"):
            for line in tail:
                self.comment(line)
        _line(f"{word} {self._number} {name}{note}", word)
        if outcome == "pass" and seconds >= LONG:
            self.comment(f"{name} took {seconds:.0f} s")

    def comment(self, text: str) -> None:
        _line(f"# {text}", "#")


def closing(passed: int, failed: int, skipped: int) -> None:
    """The line that CI reads."""
    _line(f"{passed} passed, {failed} failed, {skipped} skipped")


def _line(text: str, colour: str = "") -> None:
    if colour and sys.stdout.isatty():
        text = f"{COLOURS[colour]}{text}\033[0m"
    print(text, flush=True)
