# SPDX-License-Identifier: GPL-2.0
"""The module's folders import one way: the rooms of rust/kvm in the order that its mod.rs lists them in.

Files of one room may import one another. What other folders may import is in BELOW and ABOVE.
"""

import re
from typing import Dict, Iterator, List, Sequence, Set

from ..base import paths
from ..base.errors import KvmrsError
from . import rust_imports

ROOMS = paths.REPO / "rust" / "kvm" / "mod.rs"
DRAWING = paths.REPO / "docs" / "design.md"

BELOW = ("rust/mm", "rust/sync", "rust/kvm/trace.rs")
"""Import from nothing but themselves, and all others may import from them."""

ABOVE: Dict[str, Sequence[str]] = {
    "tdp_mmu": (),
    "pfncache": (),
    "xen": ("pfncache",),
    "rust/backend": ("tdp_mmu", "pfncache", "xen"),
}
"""What imports from all rooms -> where it imports from besides."""

_LISTED = re.compile(r"^//! - \[?`(\w+)`\]?:", re.MULTILINE)
_DRAWN = re.compile(r"^  kvm/.*\n((?:    .*\n)+)", re.MULTILINE)
_DRAWN_ROOM = re.compile(r"^    (\w+)/", re.MULTILINE)


def one_way() -> None:
    """No file imports from a room above its own, and the design draws the rooms in the same order."""
    rooms = _LISTED.findall(ROOMS.read_text())
    drawn = _DRAWN.search(DRAWING.read_text())
    wrong = list(complaints(rust_imports.imports(), rooms))
    if not drawn or _DRAWN_ROOM.findall(drawn[1]) != rooms:
        wrong.append(f"{DRAWING.name} does not draw the rooms of rust/kvm as its mod.rs lists them")
    if wrong:
        raise KvmrsError(
            "folders of the module do not import one way",
            "move what is in the way to a room below, or see checks/rust_rooms.py",
            details="\n".join(wrong),
        )


def complaints(imports: rust_imports.Imports, rooms: List[str]) -> Iterator[str]:
    """Each import in the wrong direction, if the rooms have that order."""
    allowed = _allowed([f"rust/kvm/{room}" for room in rooms])
    for file, targets in imports.items():
        place = _place(file, allowed)
        for target in sorted(targets):
            if _place(target, allowed) not in allowed.get(place, {}):
                yield f"{file} may not import {target}"


def _allowed(rooms: List[str]) -> Dict[str, Set[str]]:
    """Each place, and those that its files may import from."""
    return {
        **{place: {place} for place in BELOW},
        **{place: {*BELOW, *rooms[: at + 1]} for at, place in enumerate(rooms)},
        **{place: {*BELOW, *rooms, place, *more} for place, more in ABOVE.items()},
    }


def _place(file: str, places: Dict[str, Set[str]]) -> str:
    """The place that a file is in; a file that is in none may neither import nor be imported."""
    return next((place for place in places if file == place or file.startswith(f"{place}/")), "")
