# SPDX-License-Identifier: GPL-2.0
"""The survivors that docs/mutants.md explains, and those of a run.

A row excuses one mutation: in this file, in a line with this text, at this column; or, without a line, all of
one kind in the file.
"""

import re
from typing import Dict, Iterator, List, NamedTuple, Sequence, Set

from ..base import paths
from . import mutant_copy
from .cargo_mutants import Mutant

DOCUMENT = paths.REPO / "docs" / "mutants.md"
_ROW = re.compile(r"^\| (\S+\.rs)(?::\d+:(\d+))? \| (?:`([^`]*)` )?\| `([^`]*)` \|", re.MULTILINE)


class Survivor(NamedTuple):
    """One mutation. Lines move, so the line's text stands for its number."""

    file: str
    line: str
    column: int
    mutation: str

    def kind(self) -> "Survivor":
        """All that are like it in the file."""
        return Survivor(self.file, "", 0, self.mutation.split(" in ")[0])


def survivor(mutant: Mutant) -> Survivor:
    """As which the document would have it."""
    file = mutant_copy.original(mutant.file)
    line = (paths.REPO / file).read_text().splitlines()[mutant.line - 1].strip()
    return Survivor(file, line, mutant.column, mutant.mutation)


def complaints(survivors: Sequence[Mutant], mutants: Sequence[Mutant], document: str) -> List[str]:
    """Survivors without a row, and rows that are about none of the mutants."""
    rows = set(explained(document))
    found = [(m.line, survivor(m)) for m in survivors]
    fresh = [row(line, each) for line, each in found if not {each, each.kind()} & rows]
    known: Set[Survivor] = {each for m in mutants for each in (survivor(m), survivor(m).kind())}
    stale = [f"{each.file}: {each.line} {each.mutation}" for each in sorted(rows - known)]
    parts: Dict[str, List[str]] = {"not explained in": fresh, "not of any mutant, in rows of": stale}
    return [
        line for what, lines in parts.items() if lines for line in (f"{what} {DOCUMENT.name}:", *lines)
    ]


def explained(document: str) -> Iterator[Survivor]:
    """The survivors that the document lists, and the kinds."""
    for file, column, line, mutation in _ROW.findall(document.replace("\\|", "\0")):
        yield Survivor(file, line.replace("\0", "|"), int(column or 0), mutation.replace("\0", "|"))


def row(number: int, found: Survivor) -> str:
    """As the document lists it, but for the reason."""
    line, mutation = (text.replace("|", "\\|") for text in (found.line, found.mutation))
    return f"| {found.file}:{number}:{found.column} | `{line}` | `{mutation}` | why? |"
