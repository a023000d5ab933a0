# SPDX-License-Identifier: GPL-2.0
"""Which of the module's Rust files imports from which, and whether any do so in a circle.

A path leads to the file that defines the name: a mod.rs that only passes on what its children
define imports nothing, and a file that uses such a name imports from the child.
"""

import re
from typing import Dict, Iterator, List, Optional, Set, Tuple

from ..base import paths
from ..base.errors import KvmrsError
from . import rust_text

FOLDERS = ("rust/kvm", "rust/mm", "rust/sync", "rust/backend", "pfncache", "tdp_mmu", "xen")
"""The crate's modules; each folder is one below the crate's root."""

Name = Tuple[str, ...]
Sources = Dict[Name, Tuple[str, str]]
"""File and text without comments of each module."""
Imports = Dict[str, Set[str]]
"""A file, and those that it imports."""

_VISIBILITY = re.compile(r"\bpub\([^)]*\)")
_USE = re.compile(r"\b(pub\s+)?use\s+([^;]+);")
_PATH = re.compile(r"(?<![\w:])\w+(?:::\w+)+")


def no_circles() -> None:
    """No files of the crate import each other in a circle."""
    check_itself()
    found = cycles()
    if found:
        raise KvmrsError(
            "Rust files import each other in a circle",
            "move what they share to a file below them",
            details="\n".join(" -> ".join(circle) for circle in found),
        )


def cycles() -> List[List[str]]:
    """The circles of imports between files of the crate, each once; there should be none."""
    return _circles(imports())


def imports() -> Imports:
    """What each file of the crate imports from it."""
    return _graph(_sources())


def check_itself() -> None:
    """A planted circle, through what a mod.rs passes on, is found, and its removal noticed."""
    files = {
        ("a",): "mod x; mod y; pub use x::X;",
        ("a", "x"): "use crate::b::B; pub struct X;",
        ("a", "y"): "use super::x::X;",
        ("b",): "use crate::a::X; pub struct B;",
    }
    planted = {name: ("/".join(name), text) for name, text in files.items()}
    assert _circles(_graph(planted)) == [["a/x", "b"]]
    planted[("b",)] = ("b", "pub struct B;")
    assert not _circles(_graph(planted))


def _sources() -> Sources:
    found = {}
    for folder in FOLDERS:
        root = paths.REPO / folder
        for path in sorted(root.rglob("*.rs")):
            parts = (root.name, *path.relative_to(root).with_suffix("").parts)
            name = parts[:-1] if parts[-1] == "mod" else parts
            text = _VISIBILITY.sub("pub", rust_text.code(path.read_text()))
            found[name] = (str(path.relative_to(paths.REPO)), _without_inner_modules(text))
    return found


def _without_inner_modules(text: str) -> str:
    """Modules within a file are the file's: `super` in them is the file itself."""
    while inner := re.search(r"\bmod\s+\w+\s*\{", text):
        end, depth = inner.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: inner.start()] + text[end:]
    return text


def _graph(sources: Sources) -> Imports:
    graph: Imports = {file: set() for file, _ in sources.values()}
    for module, (file, text) in sources.items():
        for path in _imports(text):
            target = _definition(sources, module, path)
            if target and target != file:
                graph[file].add(target)
    return graph


def _imports(text: str) -> Iterator[Name]:
    """What a file uses itself: imports that it does not only pass on, and paths in its code."""
    for public, tree in _USE.findall(text):
        if not public:
            yield from _leaves(tree)
    for path in _PATH.findall(_USE.sub("", text)):
        yield tuple(path.split("::"))


def _leaves(tree: str) -> Iterator[Name]:
    """a::{b, c::d} as (a, b) and (a, c, d)."""
    head, brace, rest = re.sub(r"\s+|\bas\s+\w+", "", tree).partition("{")
    prefix = tuple(part for part in head.split("::") if part)
    if not brace:
        if prefix:
            yield prefix[:-1] if prefix[-1] == "self" else prefix
        return
    for item in _items(rest[: rest.rindex("}")]):
        for leaf in _leaves(item):
            yield prefix + leaf


def _items(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for at, char in enumerate(text + ","):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            yield text[start:at]
            start = at + 1


def _definition(sources: Sources, module: Name, path: Name) -> Optional[str]:
    """The file that defines what `path`, seen from `module`, names; None if it is not ours."""
    if path[0] == "crate":
        module, path = (), path[1:]
    elif path[0] in ("super", "self"):
        module, path = module[:-1] if path[0] == "super" else module, path[1:]
    elif (*module, path[0]) not in sources:
        return None
    while path and (*module, path[0]) in sources:
        module, path = (*module, path[0]), path[1:]
    if module not in sources:
        return None
    file, text = sources[module]
    for public, tree in _USE.findall(text):
        passed_on = [leaf for leaf in _leaves(tree) if public and path and leaf[-1] == path[0]]
        if passed_on:
            return _definition(sources, module, passed_on[0]) or file
    return file


def _circles(graph: Imports) -> List[List[str]]:
    """Groups of files that all reach each other, for each group its files in order."""
    reach = {file: _reached(graph, file) for file in graph}
    groups = {
        tuple(sorted(other for other in reach[file] if file in reach[other]))
        for file in graph
        if file in reach[file]
    }
    return [list(group) for group in sorted(groups)]


def _reached(graph: Imports, file: str) -> Set[str]:
    found: Set[str] = set()
    left = list(graph[file])
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += graph[file]
    return found
