# SPDX-License-Identifier: GPL-2.0
"""Works that this process and one beside it share.

An emulator keeps one processor busy, so that a second one is free for something else. Whoever of
the two has ended a work takes the next one. What runs beside leaves one processor to the foreground.
Its output is kept in files and shown between two works of the foreground, so that they never mix.
"""

import itertools
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Callable, Dict, Generic, Iterator, List, Sequence, TextIO, Tuple, TypeVar

from . import children, paths, ui

MEMORY = 12 << 30
"""Bytes that two emulators at once need, with a kernel's page cache."""

# A fork, because works are closures; nothing else runs here by then.
CONTEXT = multiprocessing.get_context("fork")

T = TypeVar("T")


def possible() -> bool:
    """Two processors, and memory for two machines."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return len(os.sched_getaffinity(0)) > 1 and memory >= MEMORY


class Shared(Generic[T]):
    """`works`, (name, function) each, of which the first is for the foreground.

    A process that dies leaves a work without a result: `broken` makes one of the name and the reason.
    Each run has files of its own behind the names of the logs, as proc.run_logged() has.
    """

    def __init__(
        self, works: Sequence[Tuple[str, Callable[[], T]]], broken: Callable[[str, str], T]
    ) -> None:
        self._works = works
        self._broken = broken
        self._done: Dict[int, T] = {}
        self._logs = [_new_log(name) for name, _ in works]
        self._results, self._theirs = CONTEXT.Pipe(duplex=False)
        # A byte is a work that nobody has begun. Whoever reads it has it, and there is no lock to die with.
        self._waiting, waiting = os.pipe()
        os.write(waiting, bytes(range(1, len(works))))
        os.close(waiting)

    def run(self) -> List[T]:
        """What each has returned, in their order."""
        beside = CONTEXT.Process(target=self._run_beside)
        beside.start()
        self._theirs.close()
        try:
            self._run_here()
        except BaseException:
            # Python would wait for the process beside, which would do all the rest.
            children.end_all()
            raise
        beside.join()
        if beside.exitcode:
            ui.show_error(f"the process beside this one has ended with {beside.exitcode}")
        return [self._done[index] for index in range(len(self._works))]

    def _run_here(self) -> None:
        for index in itertools.chain([0], self._turns()):
            self._done[index] = self._works[index][1]()
            while self._results.poll() and self._receive():
                pass
        for index in range(len(self._works)):
            if index not in self._done:
                self._wait_for(index)

    def _run_beside(self) -> None:
        children.end_with_me()
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[1:])
        for index in self._turns():
            os.dup2(self._logs[index].fileno(), sys.stdout.fileno())
            os.dup2(self._logs[index].fileno(), sys.stderr.fileno())
            result = self._works[index][1]()
            sys.stdout.flush()
            self._theirs.send((index, result))

    def _turns(self) -> Iterator[int]:
        """Works that nobody has begun."""
        while turn := os.read(self._waiting, 1):
            yield turn[0]

    def _wait_for(self, index: int) -> None:
        """Whatever ends beside comes in order."""
        name = self._works[index][0]
        with ui.step(f"waiting for {name}"):
            self._results.poll(None)
        if not self._receive():
            where = _log(name).relative_to(paths.REPO)
            self._done[index] = self._broken(name, f"broke off; see {where}")

    def _receive(self) -> bool:
        """The next work that ends beside, and what it has said; false if that process is gone."""
        try:
            index, result = self._results.recv()
        except (EOFError, OSError):
            # What it has left, an emulator perhaps. Nothing of this process runs between two works.
            children.end_all()
            return False
        self._done[index] = result
        with self._logs[index] as log:
            log.seek(0)
            ui.say(log.read().rstrip())
        return True


def _new_log(name: str) -> TextIO:
    """Whoever writes does so at its end, wherever it is read."""
    _log(name).unlink(missing_ok=True)
    return open(_log(name), "a+", encoding="utf-8", errors="replace")


def _log(name: str) -> Path:
    return paths.logs() / f"{name.replace(' ', '-').replace(',', '')}.log"
