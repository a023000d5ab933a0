# SPDX-License-Identifier: GPL-2.0
"""The orders that the code leans on, under the kernel's own memory model.

Each selftests/litmus/*.litmus says whether its bad outcome can happen: never, or, where something
is left out on purpose, sometimes. herd7 tries all executions that tools/memory-model allows.
"""

import glob
import os
import re
import shutil
import subprocess
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import List

from ..base import paths
from ..base.errors import KvmrsError
from ..build import kernel
from ..suite import ktap
from ..suite.results import Summary

TESTS = paths.REPO / "selftests" / "litmus"
LIMIT = 600
"""Seconds for one test. The longest takes ten of a processor of its own."""

RESULT = re.compile(r"^ \* Result: (Never|Sometimes)$", re.MULTILINE)
OBSERVATION = re.compile(r"^Observation \S+ (\w+)", re.MULTILINE)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("test", nargs="*", type=_known, help="begins the names of those to run")


def main(options: Namespace) -> int:
    program = _herd()
    model = kernel.ensure().path / "tools" / "memory-model"
    chosen = [path for path in _all() if path.name.startswith(tuple(options.test) or "")]
    report, failures = ktap.Report(len(chosen)), []
    for path in chosen:
        wrong = _judge(path, _observed(program, model, path))
        report.result(path.stem, "fail" if wrong else "pass", 0, wrong, [])
        failures += [f"{path.stem}: {wrong}"] if wrong else []
    return Summary(report.counts["pass"], failures=tuple(failures)).close()


def _all() -> List[Path]:
    return sorted(TESTS.glob("*.litmus"), key=lambda path: path.stem)


def _known(start: str) -> str:
    if not any(TESTS.glob(f"{glob.escape(start)}*.litmus")):
        raise ArgumentTypeError(f"no test in selftests/litmus is called {start!r}")
    return start


def _herd() -> str:
    """Debian has no package of it."""
    program = os.environ.get("HERD") or shutil.which("herd7")
    if not program:
        raise KvmrsError(
            "there is no herd7 in PATH", "opam install herdtools7 (7.58 or later), or HERD=<its path>"
        )
    return program


def _observed(program: str, model: Path, test: Path) -> str:
    """What herd7 says of the bad outcome: Never, Sometimes or Always."""
    try:
        done = subprocess.run(
            [program, "-conf", "linux-kernel.cfg", str(test)],
            cwd=model,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except OSError as error:
        raise KvmrsError(f"{program} does not run: {error.strerror}", "set HERD= to herd7") from error
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT} s"
    found = OBSERVATION.search(done.stdout)
    return found[1] if found else (done.stderr.strip() or f"exit {done.returncode}").splitlines()[0]


def _judge(test: Path, observed: str) -> str:
    """What is wrong with it, if anything is."""
    expected = RESULT.search(test.read_text())
    if not expected:
        return "the test does not say what to expect (Result: Never, or Sometimes)"
    return "" if observed == expected[1] else f"{observed}, and not {expected[1]}"
