# SPDX-License-Identifier: GPL-2.0
"""A terminal of our own with a program in it, and somebody who types and reads."""

import os
import pty
import re
import selectors
import signal
import subprocess
import sys
import termios
import time
from typing import Sequence, Tuple

from ..base.errors import KvmrsError


class Terminal:
    """The program is the terminal's foreground process, as one that a shell has started."""

    def __init__(self, argv: Sequence[str], rows: int, columns: int) -> None:
        self.said = ""
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(self._ours, (rows, columns))
        self._program = subprocess.Popen(
            [sys.executable, "-P", "-c", OWN_TERMINAL, *argv],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "vt100"},
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def expect(self, pattern: str, seconds: float) -> Tuple[str, ...]:
        """Reads until the pattern comes, and forgets what was said up to there; its groups."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.said, re.MULTILINE)
            if found:
                self.said = self.said[found.end() :]
                return found.groups()
            if not self._read(end - time.monotonic()):
                raise KvmrsError(
                    f"the terminal does not say '{pattern}'", "see what it says", self.said[-2000:]
                )

    def ended(self, seconds: float) -> int:
        """The program's exit code; -1 if it does not end."""
        end = time.monotonic() + seconds
        while self._program.poll() is None and time.monotonic() < end:
            self._read(0.2)
        code = self._program.poll()
        return -1 if code is None else code

    def is_as_before(self) -> bool:
        """Whether the terminal shows what is typed, and Ctrl-C works: nobody has left it raw."""
        flags = termios.tcgetattr(self._ours)[3]
        return bool(flags & termios.ECHO and flags & termios.ISIG)

    def hang_up(self, seconds: float) -> int:
        """Somebody closes the window; the exit code of the program, which alone is told."""
        os.close(self._ours)
        return self._program.wait(seconds)

    def close(self) -> None:
        if self._program.poll() is None:
            self._program.send_signal(signal.SIGTERM)
            self._program.wait()
        os.close(self._ours)

    def _read(self, seconds: float) -> bool:
        """Whether anything came. Nothing does once the program has closed the terminal."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ours, selectors.EVENT_READ)
            if seconds <= 0 or not selector.select(seconds):
                return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            return False
        self.said += data.decode(errors="replace").replace("\r", "")
        return bool(data)


OWN_TERMINAL = """
import fcntl, os, signal, sys, termios
os.setsid()
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""In a process of its own, because code between fork and exec must not need locks. Whoever starts it may ignore
hang-ups, as nohup does; the program in a new terminal does not."""
