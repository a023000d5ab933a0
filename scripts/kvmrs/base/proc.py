# SPDX-License-Identifier: GPL-2.0
"""Commands whose output is too long to show: it goes to a log, the end of it to the error."""

import subprocess
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence

from . import paths, ui
from .errors import KvmrsError

TAIL = 25


def run_logged(
    argv: Sequence[str],
    name: str,
    shown: ui.step,
    on_line: Optional[Callable[[str], None]] = None,
    append: bool = False,
    cwd: Optional[Path] = None,
    env: Optional[Mapping[str, str]] = None,
    hint: str = "",
) -> Path:
    """Runs `argv` with its output in out/logs/<name>.log; fails with the end of that log.

    `on_line` sees every line; without one, the step shows the latest.
    """
    log = paths.logs() / f"{name}.log"
    see = on_line or (lambda line: shown.progress(text=line.strip()))
    with open(log, "a" if append else "w", encoding="utf-8") as file:
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
    if child.returncode != 0:
        where = f"the full log is {log.relative_to(paths.REPO)}"
        raise KvmrsError(
            f"{shown.title} failed (exit {child.returncode})",
            f"{hint}; {where}" if hint else where,
            details=failure_of(log),
        )
    return log


def failure_of(log: Path) -> str:
    """The lines of a log that say why it ended: compiler errors if any, else its tail."""
    lines = log.read_text(errors="replace").splitlines()
    starts = [n for n, line in enumerate(lines) if "error:" in line or line.startswith("error[")]
    if starts:
        return "\n".join(lines[starts[0] : starts[0] + TAIL])
    return "\n".join(lines[-TAIL:])
