# SPDX-License-Identifier: GPL-2.0
"""One run at a time changes a part of the cache; a second one says whom it waits for."""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Iterator, Set, TextIO

from . import paths, privilege, ui

_held: Set[str] = set()


@contextlib.contextmanager
def hold(what: str, part: str = "cache") -> Iterator[None]:
    """Holds the lock of one `part` of the cache; nested use within one run is free.

    `what` is what a waiting run is told. The kernel drops a flock with its process, so that
    no stale lock can stay behind.
    """
    if part in _held:
        yield
        return
    with _opened(folder() / part) as file:
        _acquire(file)
        _write(file, f"process {os.getpid()}, {what}")
        _held.add(part)
        try:
            yield
        finally:
            _held.discard(part)
            _write(file, "")


def folder() -> Path:
    """A lock file for each part that was ever held."""
    place = paths.cache() / "locks"
    place.mkdir(exist_ok=True)
    return place


def _opened(path: Path) -> TextIO:
    try:
        return open(path, "a+", encoding="utf-8")
    except PermissionError:
        privilege.become_root("changing what root made")
        raise


def _acquire(file: TextIO) -> None:
    if _try(file):
        return
    file.seek(0)
    with ui.step(f"waiting for another run ({file.read().strip() or 'just starting'})"):
        while not _try(file):
            time.sleep(0.5)


def _try(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _write(file: TextIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
