# SPDX-License-Identifier: GPL-2.0
"""What to run of the kernel's suite and how: a list such as selftests/kselftest.toml, and the
choice of a run."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..base import paths
from ..base.errors import KvmrsError
from ..build import kselftest
from ..machine import accel

FILE = paths.REPO / "selftests" / "kselftest.toml"
TIMEOUT = 120
BACKENDS = ("c", "rust")


@dataclass
class Test:
    """A test of the suite. `fails` is why it fails on C, if it does, and on Rust too unless
    `c_alone`; one that fails by chance may fail with one of its `symptoms` in its output, but not
    `attempts` times in a row."""

    name: str
    timeout: int
    args: List[str] = field(default_factory=list)
    fails: str = ""
    declined: int = 0
    attempts: int = 1
    c_alone: bool = False
    symptoms: List[str] = field(default_factory=list)
    skips: Optional[str] = None
    """Why it is skipped; None where no list says that."""
    shown: bool = False
    """What it says is shown also when it passes."""

    def known(self, backend: str) -> str:
        """Why the test fails on that backend, if that is known."""
        return self.fails if backend == "c" or not self.c_alone else ""

    def job(self) -> Dict[str, Any]:
        """As the runner reads it."""
        return {
            "name": self.name,
            "program": f"{kselftest.INSIDE}/{self.name}",
            "args": self.args,
            "timeout": self.timeout,
            "declined": self.declined,
            "attempts": self.attempts,
            "symptoms": self.symptoms,
            "explained": bool(self.fails),
        }


def select(
    suite: List[str], only: List[str], timeout: int, args: Optional[List[str]], file: Path = FILE
) -> List[Test]:
    """The tests to run: all, or those named."""
    listed = names_in(file, suite)
    unknown = [name for name in only if name not in suite]
    if unknown:
        raise KvmrsError(
            f"no such selftest: {' '.join(unknown)}", f"there are: {' '.join(sorted(suite))}"
        )
    tests = [_test(name, listed.get(name, {}), timeout, args) for name in only or suite]
    if _read(file).get("skips_listed") and _emulated():
        for test in tests:
            test.skips = listed.get(test.name, {}).get("skips", "")
    return tests


def settings(file: Path = FILE) -> List[Dict[str, str]]:
    """Files of /proc and /sys to write before the first test."""
    return [{"path": path, "value": str(value)} for path, value in _read(file)["settings"].items()]


def _test(name: str, entry: Dict[str, Any], timeout: int, args: Optional[List[str]]) -> Test:
    """What an emulator makes of a test is no verdict on a processor; a bug of C is one everywhere."""
    words = entry.get("args", "").split() if args is None else args
    return Test(
        name,
        entry.get("timeout", timeout),
        words,
        entry.get("fails", "") if entry.get("c_alone") or _emulated() else "",
        entry.get("declined", 0),
        entry.get("attempts", 1),
        entry.get("c_alone", False),
        entry.get("symptoms", []),
    )


def _emulated() -> bool:
    return accel.choose().name != "kvm"


def names_in(file: Path, suite: List[str]) -> Dict[str, Dict[str, Any]]:
    """Entries of the list; an entry for a test that does not exist is an error."""
    listed: Dict[str, Dict[str, Any]] = _read(file).get("test", {})
    stale = [name for name in listed if name not in suite]
    if stale:
        raise KvmrsError(
            f"{file.name} names tests that the kernel has not: {' '.join(stale)}",
            "remove them from the list",
        )
    return listed


def _read(file: Path) -> Dict[str, Any]:
    return tomllib.loads(file.read_text())
