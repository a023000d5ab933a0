# SPDX-License-Identifier: GPL-2.0
"""Whatever a run has started ends with it: at Ctrl-C, at SIGTERM and when its terminal goes away.

Every process that comes from this one is its descendant, also when its own parent has died: this
process adopts such orphans. So the process table knows them all, and no list has to be kept.
"""

import ctypes
import os
import select
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Dict, List, Optional

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_CHILD_SUBREAPER = 36
GRACE = 3.0
"""Seconds to end properly before SIGKILL."""
LOOK = 1000
"""Milliseconds between two looks whether the terminal is there."""


class Interrupted(KeyboardInterrupt):
    """A signal has ended the run; nothing that it started is left."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_code(self) -> int:
        return 128 + self.number


def end_with_me() -> None:
    """From now on, a signal that ends this process ends its descendants first."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in SIGNALS:
        # nohup and shells have a reason to ignore some.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)
    terminals = [file for file in range(3) if os.isatty(file)]
    if terminals and signal.getsignal(signal.SIGHUP) == _on_signal:
        threading.Thread(target=_hang_up_with, args=(terminals[0],), daemon=True).start()


def _hang_up_with(terminal: int) -> None:
    """The system tells the session's leader alone that its terminal is gone. A shell tells its jobs; where
    make is the leader, as in `ssh -t host make test`, nobody does."""
    poll = select.poll()
    poll.register(terminal, 0)
    while not poll.poll(LOOK):
        pass
    os.kill(os.getpid(), signal.SIGHUP)


def _on_signal(number: int, _: Optional[FrameType]) -> None:
    """Ends them at once: code that an exception leaves would wait for them."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    end_all()
    raise Interrupted(number)


def end_all() -> None:
    """Ends all descendants, and those that they start meanwhile."""
    end = time.monotonic() + GRACE
    _signal(signal.SIGTERM)
    while descendants() and time.monotonic() < end:
        time.sleep(0.05)
    while descendants():
        _signal(signal.SIGKILL)
        time.sleep(0.01)


def descendants() -> List[int]:
    """Children, their children and so on, as far as they run."""
    children: Dict[int, List[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        state, parent = _state(place)
        if parent and state not in "ZX":
            children.setdefault(parent, []).append(int(place.name))
    found = list(children.get(os.getpid(), []))
    for process in found:
        found += children.get(process, [])
    return found


def _state(place: Path) -> tuple[str, int]:
    """The state of a process and its parent; (X, 0) when it is gone."""
    try:
        words = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return words[0], int(words[1])


def _signal(number: int) -> None:
    for process in descendants():
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass
