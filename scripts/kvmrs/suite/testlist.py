# SPDX-License-Identifier: GPL-2.0
"""What to run of the kernel's suite and how: a list such as selftests/kselftest.toml, and the
choice of a run."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional

from ..base import paths
from ..base.errors import KvmrsError
from ..build import kselftest

FILE = paths.REPO / "selftests" / "kselftest.toml"
TIMEOUT = 120
BACKENDS = ("c", "rust")


@dataclass
class Test:
    """A test of the suite. `fails` is why it fails on C, if it does, and on Rust too unless
    `c_alone`. Then it says what is wrong, unless it is `endless`; `says` is a part of that. One that
    fails by chance may fail with one of its `symptoms` in its output, but not `attempts` times in a row.
    """

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
    endless: bool = False
    says: str = ""
    shown: bool = False
    """What it says is shown also when it passes."""

    def known(self, backend: str, result: str) -> str:
        """Why the test fails on that backend, if that is known. A test that was killed has not shown
        the failure that is known of it, unless that is to have no end."""
        if result in ("fail", "timeout") and (result == "timeout") != self.endless:
            return ""
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
            "explained": self.endless,
        }


def select(
    suite: List[str],
    only: List[str],
    timeout: int,
    args: Optional[List[str]],
    emulated: bool,
    file: Path = FILE,
) -> List[Test]:
    """The tests to run: all, or those named. What an emulator makes of a test is no verdict on a
    processor, and other arguments than the listed ones may need other things."""
    listed = names_in(file, suite)
    unknown = [name for name in only if name not in suite]
    if unknown:
        raise KvmrsError(
            f"no such selftest: {' '.join(unknown)}", f"there are: {' '.join(sorted(suite))}"
        )
    unsaid = [name for name, entry in listed.items() if entry.get("c_alone") and not entry.get("says")]
    if unsaid:
        raise KvmrsError(f"{file.name}: {unsaid[0]} fails on C alone", "say with which words: says = ")
    tests = [_test(name, listed.get(name, {}), timeout, args, emulated) for name in only or suite]
    if read(file).get("skips_listed") and emulated and args is None:
        list_skips(tests, {name: entry.get("skips", "") for name, entry in listed.items()})
    return tests


def list_skips(tests: Iterable[Test], reasons: Mapping[str, str]) -> None:
    """From now on each of these tests is skipped for its reason, or not at all."""
    for test in tests:
        test.skips = reasons.get(test.name, "")


def settings(file: Path = FILE) -> List[Dict[str, str]]:
    """Files of /proc and /sys to write before the first test."""
    return pairs(read(file)["settings"])


def pairs(table: Mapping[str, Any]) -> List[Dict[str, str]]:
    """Settings as the runner reads them."""
    return [{"path": path, "value": str(value)} for path, value in table.items()]


def _test(
    name: str, entry: Dict[str, Any], timeout: int, args: Optional[List[str]], emulated: bool
) -> Test:
    """A bug of C is one everywhere."""
    words = entry.get("args", "").split() if args is None else args
    return Test(
        name,
        entry.get("timeout", timeout),
        words,
        entry.get("fails", "") if entry.get("c_alone") or emulated else "",
        entry.get("declined", 0),
        entry.get("attempts", 1),
        entry.get("c_alone", False),
        entry.get("symptoms", []),
        endless=entry.get("endless", False),
        says=entry.get("says", ""),
    )


def names_in(file: Path, suite: List[str]) -> Dict[str, Dict[str, Any]]:
    """Entries of the list; an entry for a test that does not exist is an error."""
    listed: Dict[str, Dict[str, Any]] = read(file).get("test", {})
    stale = [name for name in listed if name not in suite]
    if stale:
        raise KvmrsError(
            f"{file.name} names tests that the kernel has not: {' '.join(stale)}",
            "remove them from the list",
        )
    return listed


def read(file: Path) -> Dict[str, Any]:
    """A list as it is."""
    return tomllib.loads(file.read_text())
