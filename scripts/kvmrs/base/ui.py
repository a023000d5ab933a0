# SPDX-License-Identifier: GPL-2.0
"""Long steps show what they do, how long they have taken and how far they are.

On a terminal a step is one line that updates itself; elsewhere it is a line at the start,
a heartbeat every HEARTBEAT seconds and a line at the end, so that a log stays readable and
a watcher sees life.
"""

import shutil
import sys
import textwrap
import threading
import time
from types import TracebackType
from typing import Optional, TextIO, Type

HEARTBEAT = 30.0
TICK = 0.5


def clock(seconds: float) -> str:
    """Seconds as people read them: 7.4 s, 2 min 05 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def say(text: str) -> None:
    """A line of its own, never mixed into a step's updating line."""
    with _output:
        _erase()
        print(text, flush=True)


def say_line(text: str) -> None:
    """The same, in as many lines as the screen makes of it."""
    say(for_screen(text, sys.stdout, indent=4))


def say_wrapped(head: str, text: str) -> None:
    """`head`, and `text` beside it in as many lines as the screen makes of it."""
    room = max(20, width() - len(head))
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    say(f"\n{' ' * len(head)}".join([head + lines[0], *lines[1:]]))


def for_screen(text: str, stream: TextIO, indent: int = 0) -> str:
    """A line, in as many as the screen makes of it, without breaking words. In a log it stays one."""
    if not stream.isatty():
        return text
    return textwrap.fill(
        text, width(), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def show_error(why: str) -> None:
    """The one line that says why a command, or a stage of it, has failed."""
    print(for_screen(f"kvm_rs: error: {why}", sys.stderr), file=sys.stderr, flush=True)


class step:
    """``with ui.step("building the kernel") as s: s.progress(10, 200, "kvm.o")``."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.note = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def progress(self, done: int = 0, total: int = 0, text: str = "") -> None:
        """How far the step is; with no total, only `text` is shown."""
        parts = [text] if text else []
        if total:
            parts.insert(0, f"{min(99, 100 * done // total)} % ({done}/{total})")
        self.note = " ".join(parts)

    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def __enter__(self) -> "step":
        self._start = time.monotonic()
        if not _terminal():
            say(f"  {self.title} ...")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._stop.set()
        self._thread.join()
        word = "done" if kind is None else "FAILED"
        say_line(f"  {self.title}: {word} in {clock(self.elapsed())}")

    def _tick(self) -> None:
        """Redraws on a terminal; elsewhere speaks once a heartbeat."""
        spoken = time.monotonic()
        while not self._stop.wait(TICK):
            line = f"  {self.title} ... {clock(self.elapsed())}  {self.note}".rstrip()
            if _terminal():
                with _output:
                    _erase()
                    print(line[: width() - 1], end="", flush=True)
            elif time.monotonic() - spoken >= HEARTBEAT:
                spoken = time.monotonic()
                say(line)


_output = threading.RLock()


def _terminal() -> bool:
    return sys.stdout.isatty()


def width() -> int:
    """Columns of the screen; where there is none, those of most."""
    return shutil.get_terminal_size().columns


def _erase() -> None:
    if _terminal():
        print("\r\033[K", end="")
