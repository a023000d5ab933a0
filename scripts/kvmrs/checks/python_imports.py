# SPDX-License-Identifier: GPL-2.0
"""The scripts import one way: folders along MAY_IMPORT, and files never in a circle.

Files of one folder may import one another, but commands may not: what two commands share has
a place below them.
"""

import ast
import graphlib
from pathlib import Path
from typing import Dict, Iterator, List, Set

from ..base import paths
from ..base.errors import KvmrsError

PACKAGE = paths.REPO / "scripts" / "kvmrs"
ANY = "__main__"
"""Starts the commands, and may import everything."""

MAY_IMPORT = {
    "base": {"base"},
    "tools": {"base", "tools"},
    "build": {"base", "tools", "build"},
    "checks": {"base", "tools", "build", "checks"},
    "machine": {"base", "tools", "build", "machine"},
    "suite": {"base", "tools", "build", "machine", "suite"},
    "stages": {"base", "tools", "build", "checks", "machine", "suite", "stages"},
    "commands": {"base", "tools", "build", "checks", "machine", "suite", "stages"},
}
"""The rule: folder -> folders whose files it may import."""

Imports = Dict[str, Set[str]]
"""A file, as "folder/name", and those that it imports."""


def one_way() -> None:
    """An error names every import in the wrong direction, and a circle of files if there is one."""
    found = imports(PACKAGE)
    wrong = [*_wrong_direction(found), *_circle(found)]
    if wrong:
        raise KvmrsError(
            "scripts/kvmrs does not import one way",
            "see checks/python_imports.py",
            details="\n".join(wrong),
        )


def imports(package: Path) -> Imports:
    """What each file of the package imports from it."""
    files = {
        file.relative_to(package).with_suffix("").as_posix(): file
        for file in sorted(package.rglob("*.py"))
    }
    return {
        name: {target for target in _targets(name, file) if target in files}
        for name, file in files.items()
    }


def _targets(name: str, file: Path) -> Iterator[str]:
    """Each module that the file may mean, anywhere in it: `from ..base import ui` is base/ui."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = [*name.split("/")[: -node.level], *(node.module or "").split(".")]
            place = "/".join(filter(None, folder))
            yield place
            yield from (f"{place}/{alias.name}".lstrip("/") for alias in node.names)


def _wrong_direction(found: Imports) -> Iterator[str]:
    for name, targets in found.items():
        allowed = set(MAY_IMPORT) if name == ANY else MAY_IMPORT.get(_folder(name), set())
        for target in sorted(targets):
            if _folder(target) not in allowed:
                yield f"{name}.py may not import {target}.py"


def _circle(found: Imports) -> List[str]:
    try:
        graphlib.TopologicalSorter(found).prepare()
    except graphlib.CycleError as error:
        return ["a circle: " + " -> ".join(f"{name}.py" for name in error.args[1])]
    return []


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
