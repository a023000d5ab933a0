# SPDX-License-Identifier: GPL-2.0
"""Runs the model's tests on one mutant after the other, each until one fails.

Tests that have killed a neighbour come first, and those that take long come last. A test that takes much more
of a CPU than it should hangs, and so does one that waits while nothing runs.
"""

import os
import re
import resource
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Sequence

from ..base.errors import KvmrsError
from ..build import until_failure
from ..tools import toolroot
from . import mutant_copy, mutant_switches
from .mutant_verdicts import HANGS, KILLED, SURVIVES

NEAR = 6
"""How many tests come first."""
SLOW = 10
"""One in so many tests takes long."""
LIMITS = (5, 8, 15)
"""Seconds of a CPU for the tests that come first, for most, and for the slow ones. All together take about
two."""
LOOK, PATIENCE = 1.0, 20
"""Seconds between two looks at a program that says nothing, and after how many it waits in vain."""

PASSED = re.compile(r"^test (\S+).* \.\.\. ok$", re.MULTILINE)
FAILED = re.compile(r"^test (\S+).* \.\.\. FAILED$", re.MULTILINE)
BEGUN = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (?!ok)", re.MULTILINE)


class Outcome(NamedTuple):
    """What tests say; `how` is the test that failed, or what happened in it."""

    what: str
    how: str
    seconds: float


class Tests:
    """The program, and the order of its tests. It is right without a mutant."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._killers: Dict[str, List[str]] = {}
        took = self._times()
        by_time = sorted(took, key=lambda test: took[test])
        self._all, self._slow = set(took), by_time[-max(1, len(took) // SLOW) :]

    def killed(self, file: str, test: str) -> None:
        """It is tried first on this file's next mutants."""
        if test in self._all:
            others = [other for other in self._killers.get(file, []) if other != test]
            self._killers[file] = [test, *others][:NEAR]

    def run(self, number: int, file: str) -> Outcome:
        """Tries a mutant of the file."""
        near, seconds = self._killers.get(file, []), 0.0
        skipped = [word for test in (*near, *self._slow) for word in ("--skip", test)]
        slow = [test for test in self._slow if test not in near]
        for words, limit in zip((near, skipped, slow), LIMITS):
            if not words:
                continue
            what, how, took = self._try(number, words, limit)
            seconds += took
            if what != SURVIVES:
                self.killed(file, how)
                return Outcome(what, how, seconds)
        return Outcome(SURVIVES, "", seconds)

    def _try(self, number: int, words: Sequence[str], limit: int) -> Outcome:
        before = time.monotonic()
        with self._started(number, words) as child:
            resource.prlimit(child.pid, resource.RLIMIT_CPU, (limit, limit + 1))
            resource.prlimit(child.pid, resource.RLIMIT_AS, (until_failure.MEMORY, until_failure.MEMORY))
            said, waits = _listen(child)
            seconds = _cpu(child.pid) or time.monotonic() - before
            child.kill()
        return _outcome(said, waits, child.returncode, seconds)

    def _started(self, number: int, words: Sequence[str]) -> "subprocess.Popen[bytes]":
        env: Mapping[str, str] = {
            **mutant_copy.TESTS,
            mutant_switches.CHOSEN: str(number),
            "RUST_BACKTRACE": "0",
        }
        return toolroot.popen(
            [self._program, "--test-threads=1", "--exact", *words],
            cwd=mutant_switches.tree() / "model",
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _times(self) -> Dict[str, float]:
        """How long each test takes, without a mutant."""
        took: Dict[str, float] = {}
        with self._started(0, []) as child:
            assert child.stdout
            before = time.monotonic()
            for line in child.stdout:
                found, now = PASSED.match(line.decode()), time.monotonic()
                if found:
                    took[found[1]] = now - before
                before = now
        if child.returncode or not took:
            raise KvmrsError("the tests fail without any mutant", "see what `make static` says")
        return took


def _listen(child: "subprocess.Popen[bytes]") -> "tuple[str, bool]":
    """What it says until a test fails or it ends, and whether it waits for what does not come."""
    assert child.stdout
    said, still, used = "", 0, 0.0
    while not FAILED.search(said) and still < PATIENCE:
        if select.select([child.stdout], [], [], LOOK)[0]:
            data = os.read(child.stdout.fileno(), 1 << 16)
            if not data:
                return said, False
            said, still = said + data.decode(errors="replace"), 0
        else:
            now = _cpu(child.pid)
            still = still + 1 if now == used and not _runs(child.pid) else 0
            used = now
    return said, still == PATIENCE


def _outcome(said: str, waits: bool, code: int, seconds: float) -> Outcome:
    failed, begun = FAILED.search(said), BEGUN.findall(said)
    test = begun[-1] if begun else "a test"
    if failed:
        return Outcome(KILLED, failed[1], seconds)
    if waits:
        return Outcome(HANGS, f"{test} waits", seconds)
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return Outcome(HANGS, f"{test} does not end", seconds)
    return (
        Outcome(KILLED, f"{test} ends the program", seconds) if code else Outcome(SURVIVES, "", seconds)
    )


def _cpu(process: int) -> float:
    """Seconds that it has taken; 0 when it is gone."""
    words = _stat(Path(f"/proc/{process}"))
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if words else 0.0


def _runs(process: int) -> bool:
    """Whether a thread of it could do something, or waits for a disk."""
    threads = Path(f"/proc/{process}/task").glob("*")
    return any((_stat(thread) or ["X"])[0] in "RD" for thread in threads)


def _stat(place: Path) -> List[str]:
    """The words after the name, of which the first is the state."""
    try:
        return (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
