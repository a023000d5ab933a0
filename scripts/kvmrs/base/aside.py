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
from typing import Callable, Generic, Iterator, Sequence, Tuple, TypeVar

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
    """

    def __init__(
        self, works: Sequence[Tuple[str, Callable[[], T]]], broken: Callable[[str, str], T]
    ) -> None:
        self._works = works
        self._broken = broken
        self._results, theirs = multiprocessing.Pipe(duplex=False)
        # A fork, because the functions are closures; nothing else runs here by then.
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_run_all, args=(works, theirs))
        for name, _ in works:
            _log(name).unlink(missing_ok=True)
        self._process.start()
        theirs.close()

    def results(self) -> Iterator[T]:
        """What each returned, in order, after its output; waits for those that go on."""
        for name, _ in self._works:
            with ui.step(f"waiting for {name}"):
                result = self._next(name)
            if _log(name).exists():
                print(_log(name).read_text(errors="replace"), end="", flush=True)
            yield result
        self._process.join()

    def _next(self, name: str) -> T:
        try:
            return self._results.recv()
        except EOFError:
            return self._broken(name, f"broke off; see {_log(name).relative_to(paths.REPO)}")


def _run_all(works: Sequence[Tuple[str, Callable[[], object]]], results: Connection) -> None:
    children.end_with_me()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[1:])
    for name, function in works:
        with open(_log(name), "wb") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
        result = function()
        sys.stdout.flush()
        results.send(result)


def _log(name: str) -> Path:
    return paths.logs() / f"{name.replace(' ', '-').replace(',', '')}.log"
