# SPDX-License-Identifier: GPL-2.0
"""Commands whose output is too long to show: it goes to a log, the end of it to the error."""

import re
import subprocess
import urllib.error
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence

from . import paths, ui
from .errors import KvmrsError

TAIL = 25
FULL = re.compile(r"No space left on device|os error 28\b")
DISK = "the disk is full: free some space and run the same command again"
OFFLINE = re.compile(
    r"[Cc]ould(?:n't| not) (?:resolve|connect)|[Tt]emporary failure (?:in name resolution|resolving)|"
    r"Unable to connect|Network is unreachable|Connection (?:refused|timed out)|failed to download|"
    r"spurious network error|download of .* failed"
)
NETWORK = "check the network (or http_proxy) and run the same command again"


def run_logged(
    argv: Sequence[str],
    name: str,
    shown: ui.step,
    on_line: Optional[Callable[[str], None]] = None,
    append: bool = False,
    cwd: Optional[Path] = None,
    env: Optional[Mapping[str, str]] = None,
    hint: str = "",
) -> str:
    """Runs `argv` with its output in out/logs/<name>.log, and returns it; fails with the end of it.

    `on_line` sees every line; without one, the step shows the latest. Each run has a file of its
    own behind the name, so that another run at the same time has its own words alone.
    """
    log = paths.logs() / f"{name}.log"
    if not append:
        log.unlink(missing_ok=True)
    see = on_line or (lambda line: shown.progress(text=line.strip()))
    with open(log, "a+", encoding="utf-8", errors="replace") as file:
        with subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                file.write(line)
                see(line)
        file.seek(0)
        text = file.read()
    if child.returncode != 0:
        where = f"the full log is {log.relative_to(paths.REPO)}"
        raise KvmrsError(
            f"{shown.title} failed (exit {child.returncode})",
            "; ".join(filter(None, (way_out(text, hint), where))),
            details=failure_of(text),
        )
    return text


def way_out(text: str, hint: str = "") -> str:
    """What to do about a program that ended with these words; `hint` where they do not say. Words of
    another way out lead to it again."""
    if FULL.search(text) or DISK in text:
        return DISK
    return NETWORK if OFFLINE.search(text) or NETWORK in text else hint


def reason_of(error: OSError) -> str:
    """In the system's words, without those that Python puts around them."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason
    return error.strerror or str(error)


def failure_of(text: str) -> str:
    """The lines of a log that say why it ended: compiler errors if any, else its tail."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if "error:" in line or line.startswith("error[")]
    if starts:
        return "\n".join(lines[starts[0] : starts[0] + TAIL])
    return "\n".join(lines[-TAIL:])
