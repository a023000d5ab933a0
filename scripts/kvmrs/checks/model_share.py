# SPDX-License-Identifier: GPL-2.0
"""docs/model.md says how much of rust/ the model compiles, and lists what it does not.

The model's sources lead to the module's files by `#[path]`, and a mod.rs among these to its own. A row
of the document's table is about what is left out in a file or a folder of rust/: the number of lines
there, and of what the model has in its place.
"""

import re
from pathlib import Path
from typing import Dict, Iterator, Set

from ..base import paths
from ..base.errors import KvmrsError
from ..build import crates

DOCUMENT = paths.REPO / "docs" / "model.md"
TRUSTED, SOURCES = paths.REPO / "rust", crates.MODEL / "src"

_MOD = re.compile(r'(?:#\[path = "([^"]+)"\]\s*)?(?:pub(?:\([^)]*\))? )?mod (\w+);')
_SHARE = re.compile(r"(\d+) of the (\d+) lines")
_ROW = re.compile(r"^\| `rust/([^`]+)` \| (\d+) \| (\d+) \|", re.MULTILINE)


def listed() -> None:
    """Every file is compiled or listed, and no number is far from what it is."""
    wrong = list(_complaints(DOCUMENT.read_text()))
    if wrong:
        raise KvmrsError(
            f"{DOCUMENT.name} does not say what the model leaves out of rust/",
            "correct its table and the sum above it",
            details="\n".join(wrong),
        )


def compiled() -> Set[str]:
    """The files that the model's sources lead to, by their names below rust/."""
    found: Set[Path] = set()
    left = [SOURCES / "lib.rs"]
    while left:
        file = left.pop().resolve()
        if file not in found:
            found.add(file)
            left += _modules(file)
    trusted = TRUSTED.resolve()
    return {str(file.relative_to(trusted)) for file in found if trusted in file.parents}


def _complaints(document: str) -> Iterator[str]:
    lines, shared = _lines(TRUSTED), compiled()
    missing = {name: count for name, count in lines.items() if name not in shared}
    rows = _ROW.findall(document)
    for name in missing:
        if not any(_within(name, row) for row, _, _ in rows):
            yield f"rust/{name} is not in the table"
    for row, left_out, stand_in in rows:
        yield from _far(f"rust/{row}", left_out, _sum(missing, row))
        yield from _far(f"stand-ins for rust/{row}", stand_in, _sum(_lines(SOURCES), row))
    said = _SHARE.search(document)
    all_lines = sum(lines.values())
    yield from _far(
        "what the model compiles", said[1] if said else "0", all_lines - sum(missing.values())
    )
    yield from _far("rust/", said[2] if said else "0", all_lines)


def _far(what: str, said: str, there: int) -> Iterator[str]:
    """Documents need not follow each line."""
    if abs(int(said) - there) > max(20, there // 10):
        yield f"{what}: {there} lines, and not {said}"


def _sum(lines: Dict[str, int], row: str) -> int:
    return sum(count for name, count in lines.items() if _within(name, row))


def _within(name: str, row: str) -> bool:
    return name == row or name.startswith(f"{row}/")


def _lines(folder: Path) -> Dict[str, int]:
    """The number of lines of each Rust file, by its name below the folder."""
    files = (file for file in sorted(folder.rglob("*.rs")) if "_generated" not in file.name)
    return {str(file.relative_to(folder)): len(file.read_text().splitlines()) for file in files}


def _modules(file: Path) -> Iterator[Path]:
    """The files of the modules that a file has."""
    own = file.parent if file.name in ("mod.rs", "lib.rs") else file.with_suffix("")
    for path, name in _MOD.findall(file.read_text()):
        places = [file.parent / path] if path else [own / f"{name}.rs", own / name / "mod.rs"]
        yield from (place for place in places if place.exists())
