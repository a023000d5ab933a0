# SPDX-License-Identifier: GPL-2.0
"""Work that goes on beside the rest, in a process of its own.

An emulator keeps one processor busy, so that a second one is free for something else. What
runs aside leaves one processor to the foreground; its output is kept in a file and shown when
it is done, so that it never mixes with the output of the foreground.
"""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Callable, Dict, Generic, Iterator, Sequence, TextIO, Tuple, TypeVar

from . import children, paths, ui

MEMORY = 12 << 30
"""Bytes that two emulators at once need, with a kernel's page cache."""

T = TypeVar("T")


def possible() -> bool:
    """Two processors, and memory for two machines."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return len(os.sched_getaffinity(0)) > 1 and memory >= MEMORY


class Aside(Generic[T]):
    """Runs `works`, (name, function) each, one after the other, and keeps what they return.

    A process that dies leaves works without a result: `broken` makes one of the name and the reason.
    Each run has files of its own behind the names of the logs, as proc.run_logged() has.
    """

    def __init__(
        self, works: Sequence[Tuple[str, Callable[[], T]]], broken: Callable[[str, str], T]
    ) -> None:
        self._works = works
        self._broken = broken
        self._results, theirs = multiprocessing.Pipe(duplex=False)
        # A fork, because the functions are closures; nothing else runs here by then.
        context = multiprocessing.get_context("fork")
        self._logs = {name: _new_log(name) for name, _ in works}
        self._process = context.Process(target=_run_all, args=(works, self._logs, theirs))
        self._process.start()
        theirs.close()

    def results(self) -> Iterator[T]:
        """What each returned, in order, after its output; waits for those that go on."""
        for name, _ in self._works:
            with ui.step(f"waiting for {name}"):
                result = self._next(name)
            with self._logs[name] as log:
                log.seek(0)
                print(log.read(), end="", flush=True)
            yield result
        self._process.join()

    def _next(self, name: str) -> T:
        try:
            return self._results.recv()
        except EOFError:
            return self._broken(name, f"broke off; see {_log(name).relative_to(paths.REPO)}")


def _run_all(
    works: Sequence[Tuple[str, Callable[[], object]]], logs: Dict[str, TextIO], results: Connection
) -> None:
    children.end_with_me()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[1:])
    for name, function in works:
        with logs[name] as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
        result = function()
        sys.stdout.flush()
        results.send(result)


def _new_log(name: str) -> TextIO:
    """Whoever writes does so at its end, wherever it is read."""
    _log(name).unlink(missing_ok=True)
    return open(_log(name), "a+", encoding="utf-8", errors="replace")


def _log(name: str) -> Path:
    return paths.logs() / f"{name.replace(' ', '-').replace(',', '')}.log"
