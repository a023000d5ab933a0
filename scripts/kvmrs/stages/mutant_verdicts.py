# SPDX-License-Identifier: GPL-2.0
"""What became of mutants, in this run and in earlier ones.

A file in the cache has a line for each. The files' digest is with it: a verdict counts as long as no file
changes. With `iterate`, one that a test has come to counts further, as long as the mutant's function is
the same.
"""

from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional

KILLED, HANGS, BROKEN, SURVIVES = "killed", "killed by hanging", "do not compile", "survive"
ALL = (KILLED, HANGS, BROKEN, SURVIVES)


class Verdict(NamedTuple):
    """`how` names the test, or says what happened to it; `seconds` are those of a CPU."""

    key: str
    digest: str
    what: str
    seconds: float = 0.0
    how: str = ""

    def line(self) -> str:
        return "\t".join((self.key, self.digest, self.what, f"{self.seconds:.2f}", self.how)) + "\n"


class Verdicts:
    """Those of all mutants, by their keys."""

    def __init__(self, file: Path, digest: str, iterate: bool) -> None:
        self._file, self._digest = file, digest
        self._found: Dict[str, Verdict] = {}
        for verdict in _read(file):
            if iterate or verdict.digest == digest:
                self._found[verdict.key] = verdict
        if iterate:
            tried = self._found.items()
            self._found = {key: verdict for key, verdict in tried if verdict.what != SURVIVES}
        self._earlier = set(self._found)

    def add(self, key: str, what: str, seconds: float = 0.0, how: str = "") -> None:
        """Takes note, so that an interrupted run has it."""
        verdict = Verdict(key, self._digest, what, seconds, " ".join(how.split()))
        self._found[key] = verdict
        with open(self._file, "a", encoding="utf-8") as file:
            file.write(verdict.line())

    def of(self, key: str) -> Optional[Verdict]:
        """None if it is to be tried."""
        return self._found.get(key)

    def earlier(self, keys: Iterable[str]) -> int:
        """How many of them were there before this run."""
        return len(self._earlier & set(keys))


def _read(file: Path) -> List[Verdict]:
    """All that were ever noted. A run that was killed may have written half a line."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    parts = [line.split("\t") for line in lines]
    return [
        Verdict(key, digest, what, float(seconds), how)
        for key, digest, what, seconds, how in (part for part in parts if len(part) == 5)
        if what in ALL
    ]
