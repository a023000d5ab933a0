# SPDX-License-Identifier: GPL-2.0
"""One run at a time changes the cache; a second one says whom it waits for."""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Iterator, TextIO

from . import paths, privilege, ui

_depth = 0


@contextlib.contextmanager
def hold(what: str) -> Iterator[None]:
    """Holds the cache's lock; nested use within one run is free.

    The kernel drops a flock with its process, so that no stale lock can stay behind.
    """
    global _depth
    if _depth:
        yield
        return
    with _opened(paths.cache() / "lock") as file:
        _acquire(file)
        _write(file, f"process {os.getpid()}, {what}")
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1
            _write(file, "")


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
