# SPDX-License-Identifier: GPL-2.0
"""Whatever docs/bug-museum.md and selftests/museum/ name must exist, and they must agree.

The last column of the document's table says what keeps a bug away. A name in backticks there is

    ui/NAME       a program that the types refuse, selftests/model/tests/ui/NAME.rs
    FILE::TEST    a test in selftests/model/tests/FILE.rs
    NN-NAME       a mutant, selftests/museum/NN-NAME.patch
    PATH          a file or directory of the checkout

A row without such a name has to say that the bug is open.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Set

from ..base import paths
from ..base.errors import KvmrsError
from ..build import crates

DOCUMENT = paths.REPO / "docs" / "bug-museum.md"
MUTANTS = paths.REPO / "selftests" / "museum"
TESTS = crates.MODEL / "tests"
BUGS = 61

_LINE = re.compile(r"^\| *(\d+) *\|.*\|([^|]*)\|\s*$", re.MULTILINE)
_KILLER = re.compile(r"^Killed-by: (\w+)::(\w+)\nSays: (\S.*)$", re.MULTILINE)
_CHANGED = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)
"""A bug is one of the module's: neither of its tests nor of the model."""


@dataclass(frozen=True)
class Mutant:
    """A patch that puts a bug back, the test that must notice, and what it must complain about."""

    patch: Path
    file: str
    test: str
    says: str

    @property
    def name(self) -> str:
        return self.patch.stem

    @property
    def bug(self) -> int:
        return int(self.name.split("-")[0])


def mutants() -> List[Mutant]:
    """All mutants, in order; an error for one that does not say which test kills it, and how."""
    found = []
    for patch in sorted(MUTANTS.glob("*.patch")):
        killer = _KILLER.search(patch.read_text())
        if not killer:
            raise KvmrsError(
                f"{patch.name} does not say which test kills it, and how",
                "add lines such as Killed-by: scenarios::a_test, and Says: part of its complaint",
            )
        found.append(Mutant(patch, killer[1], killer[2], killer[3]))
    return found


def check() -> List[Mutant]:
    """Returns the mutants; an error if something that document or patches name does not exist."""
    held, listed = _held(), mutants()
    wrong = [f"bug {number} is missing" for number in range(1, BUGS + 1) if number not in held]
    for number, text in held.items():
        names = re.findall(r"`([^`]+)`", text)
        wrong += [f"bug {number}: there is no {name}" for name in names if not _exists(name)]
        if not names and "open" not in text:
            wrong.append(f"bug {number}: neither held nor open")
    for mutant in listed:
        wrong += _complaints(mutant, _mentions(held, mutant.bug))
    if wrong:
        raise KvmrsError(
            f"{DOCUMENT.name} and selftests/museum/ do not agree with the checkout",
            "correct the names",
            details="\n".join(wrong),
        )
    return listed


def _held() -> Dict[int, str]:
    """The last column of each line of the table, by bug."""
    return {int(number): text for number, text in _LINE.findall(DOCUMENT.read_text())}


def _mentions(held: Dict[int, str], bug: int) -> Set[str]:
    return set(re.findall(r"`([^`]+)`", held.get(bug, "")))


def _complaints(mutant: Mutant, mentioned: Set[str]) -> List[str]:
    test = f"{mutant.file}::{mutant.test}"
    wrong = [] if _exists(test) else [f"{mutant.patch.name}: there is no {test}"]
    changed = _CHANGED.findall(mutant.patch.read_text())
    wrong += [f"{mutant.patch.name} changes {file}" for file in changed if file.startswith("selftests/")]
    return wrong + [
        f"bug {mutant.bug} does not name {name}" for name in (mutant.name, test) if name not in mentioned
    ]


def _exists(name: str) -> bool:
    """Whether the thing that a name in backticks means exists."""
    if name.startswith("ui/"):
        return (TESTS / f"{name}.rs").exists()
    if "::" in name:
        file, test = name.split("::", 1)
        path = TESTS / f"{file}.rs"
        return path.exists() and bool(re.search(rf"\bfn {re.escape(test)}\b", path.read_text()))
    if re.match(r"\d\d-", name):
        return (MUTANTS / f"{name}.patch").exists()
    return (paths.REPO / name).exists()
