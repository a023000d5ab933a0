# SPDX-License-Identifier: GPL-2.0
"""docs/safety-items.md says of every public item of the trusted layer why safe code may have it.

The document has a heading for each file of rust/ and below it lines such as

    - `Type`, `Type::method`: why no safe code that calls it breaks an invariant

Items are types with their public fields, functions, constants, what public traits have, and what is
passed on from the kernel crate. `pub(crate)` counts as public, because tdp_mmu/ is in the same crate.
What is only public within rust/kvm or rust/backend does not.
"""

import re
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

from ..base import paths
from ..base.errors import KvmrsError
from . import rust_text

DOCUMENT = paths.REPO / "docs" / "safety-items.md"
FOLDERS = ("rust/kvm", "rust/mm", "rust/sync", "rust/backend")

Item = Tuple[str, str]
"""A file and a name in it."""

_PUB = r"\bpub(?:\(crate\))?\s+"
_KIND = r"(?:fn|struct|enum|trait|const|static|type)"
_PUBLIC = re.compile(rf"{_PUB}(?:const\s+|unsafe\s+|extern\s+)*{_KIND}\s+(\w+)")
_FIELD = re.compile(rf"{_PUB}(\w+)\s*:")
_OF_TRAIT = re.compile(r"\b(?:fn|const|type)\s+(\w+)")
_PASSED_ON = re.compile(r"\bpub\s+use\s+kernel::([^;]+);")
_MADE = {"masks": re.compile(r"(\w+)\s*:\s*\w+\s*;"), "entry_state": re.compile(r"(\w+)\s*$")}
"""What a macro's body holds, for macros that make public items."""

_LINE = re.compile(r"^- ((?:[^`:]|`[^`]*`)+):", re.MULTILINE)
_PART = re.compile(r"^### `(\S+)`$", re.MULTILINE)


def listed() -> None:
    """The document names every public item, and nothing else."""
    check_itself()
    there, named = set(_items()), set(_named(DOCUMENT.read_text()))
    wrong = [f"{file}: {name} is not on the list" for file, name in sorted(there - named)]
    wrong += [f"{file}: there is no public {name}" for file, name in sorted(named - there)]
    if wrong:
        raise KvmrsError(
            f"{DOCUMENT.name} does not list what is public in rust/",
            "can safe code that calls it break an invariant? narrow it, or write the answer down",
            details="\n".join(wrong),
        )


def check_itself() -> None:
    """Each kind of item is found, and nothing that is not public."""
    text = """
        pub struct A { pub a: u8, b: u8 }
        impl<'a, T: Into<u8>> A { pub const fn new() -> Self { A } fn own() {} pub(crate) fn c() {} pub(super) fn d() {} }
        pub trait T: Sealed { const N: u8; fn t(&self) { fn inner() {} } }
        trait P { fn p(); }
        impl T for A { fn t(&self) {} }
        masks! { x: y; }
        pub use kernel::a::{b, C};
    """
    expected = {"A", "A::a", "A::new", "A::c", "T", "T::N", "T::t", "x", "b", "C"}
    assert set(_public(text)) == expected, set(_public(text))
    assert set(_named("### `f`\n\n- `A`,\n  `A::b`: no, `c`\n")) == {("f", "A"), ("f", "A::b")}


def _items() -> Iterator[Item]:
    for folder in FOLDERS:
        for path in sorted((paths.REPO / folder).rglob("*.rs")):
            for name in _public(rust_text.code(path.read_text())):
                yield str(path.relative_to(paths.REPO)), name


def _public(text: str) -> Iterator[str]:
    """Names of the public items of a file without comments."""
    for passed_on in _PASSED_ON.findall(text):
        yield from re.findall(r"(\w+)\s*(?:[,}]|$)", passed_on)
    for scope, header, body in _scopes(_PASSED_ON.sub("", text)):
        if scope == "pub trait":
            yield from (f"{header}::{name}" for name in _OF_TRAIT.findall(body))
        elif scope == "macro":
            yield from _MADE[header].findall(body) if header in _MADE else ()
        else:
            found = _PUBLIC.findall(body) + _FIELD.findall(body)
            yield from (f"{header}::{name}" if header else name for name in found)


def _scopes(text: str) -> Iterator[Tuple[str, str, str]]:
    """Kind, name and text of each scope that can have items, without what is nested in it."""
    stack: List[Tuple[str, str, List[str]]] = [("", "", [])]
    at = 0
    for brace in re.finditer(r"[{}]", text):
        before, at = text[at : brace.start()], brace.end()
        stack[-1][2].append(before)
        if brace.group() == "}":
            kind, name, parts = stack.pop()
            stack[-1][2].append(";")
            yield kind, name, "".join(parts)
        else:
            kind, name = _opened(re.split(r"[;{}]", before)[-1], stack[-1][0])
            stack.append((kind, name, []))
    yield "", "", "".join(stack[0][2]) + text[at:]


def _opened(header: str, around: str) -> Tuple[str, str]:
    """What kind of scope a header opens: of a type, a trait or a macro, or one without items."""
    if around in ("none", "pub trait"):
        return "none", ""
    if found := re.search(rf"({_PUB})?\btrait\s+(\w+)", header):
        return ("pub trait", found[2]) if found[1] else ("none", "")
    if found := re.search(r"\b(?:struct|enum)\s+(\w+)", header):
        return "type", found[1]
    if found := re.search(r"\bimpl\b(.*)", header, re.DOTALL):
        target = _without_generics(found[1]).split(" for ")[-1]
        return "type", re.findall(r"\w+", target.split(" where ")[0])[-1]
    if found := re.search(r"\b(\w+)!\s*$", header):
        return "macro", found[1]
    return "none", ""


def _without_generics(text: str) -> str:
    while (less := re.sub(r"<[^<>]*>", "", text.replace("->", ""))) != text:
        text = less
    return " " + " ".join(text.split())


def _named(document: str) -> Iterator[Item]:
    parts = _PART.split(document)
    for file, text in zip(parts[1::2], parts[2::2]):
        for names in _LINE.findall(text):
            yield from ((file, name) for name in re.findall(r"`([^`]+)`", names))


def by_file() -> Dict[str, Set[str]]:
    """The public items of each file."""
    found: Dict[str, Set[str]] = {}
    for file, name in _items():
        found.setdefault(file, set()).add(name)
    return found
