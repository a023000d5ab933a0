# SPDX-License-Identifier: GPL-2.0
"""Every name that documents and comments use must exist.

A name exists if the checkout has that file, command or heading, or that word in its code: what
comments and documents say does not count. What the checkout lacks may be the kernel's: then the
patched kernel's sources must have it. Names of other projects, such as compilers and emulators,
are in scripts/config/foreign-names, and each of those must be needed.
"""

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Set, Tuple

from ..base import paths
from ..base.errors import KvmrsError
from ..build import kernel as built_kernel
from . import prose
from .mentions import Mention, Reader

FOREIGN = paths.CONFIGS / "foreign-names"
GENERATED = {"out", "target", ".git", "__pycache__"}
KERNEL_PARTS = (
    "arch/x86",
    "virt",
    "include",
    "kernel",
    "mm",
    "lib",
    "init",
    "rust",
    "tools/testing/selftests/kvm",
)
"""Where words are looked for in the kernel: all of it takes a minute."""

_HERE = re.compile(r"^(?:(?:[Ss]elf|super|crate)::)+")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_TYPE = re.compile(r"\b(?:struct|enum|trait|union|mod|type|class)\s+(\w+)")
_IMPL = re.compile(r"\bimpl\b([^{;]*)\{")


def exist() -> None:
    """What documents and comments name is there, in the checkout or in the kernel."""
    wrong = complaints(built_kernel.ensure().path)
    if wrong:
        raise KvmrsError(
            "documents or comments name what does not exist",
            "correct the names",
            details="\n".join(wrong),
        )


def complaints(kernel: Path) -> List[str]:
    """file:line of each name that neither the checkout nor the patched kernel tree has."""
    if not (kernel / "arch/x86/kvm").is_dir():
        raise KvmrsError(f"{kernel} is no kernel tree", "make kernel")
    checkout, foreign = Checkout(kernel), _foreign()
    missing = [each for each in checkout.mentions() if not checkout.has(each)]
    asked = {name for each in missing if each.kind == "word" for name in _asked(each.name)}
    unknown = asked - checkout.words - _in_kernel(kernel, asked - checkout.words)

    def is_wrong(each: Mention) -> bool:
        if each.kind != "word":
            return True
        if _bare(each.name) not in unknown:
            return False
        return checkout.misplaced(each.name) or not _words(each.name) & unknown <= foreign

    where = FOREIGN.relative_to(paths.REPO)
    idle = [f"{where}: nothing needs {name}" for name in sorted(foreign - unknown)]
    return [*map(str, filter(is_wrong, missing)), *idle]


class Checkout:
    """What exists: files, commands, code words, and which words belong to which type or module."""

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel
        self.files = {str(path.relative_to(paths.REPO)): path for path in _files()}
        self.top = {name.split("/")[0] for name in self.files if "/" in name}
        self.kernel_top = {path.name for path in kernel.iterdir() if path.is_dir()} - self.top
        self.words = {word for name in self.files for word in _words(name)}
        self.members: Dict[str, Set[str]] = defaultdict(set)
        self.code = ""
        for name, path in self.files.items():
            if prose.is_source(path):
                self._add(Path(name), prose.split(path)[1])
        self.commands = {"make": _targets(paths.REPO), "scripts/kvmrs.sh": self._commands()}

    def mentions(self) -> Iterator[Mention]:
        """All names in documents and comments."""
        for path in self.files.values():
            yield from Reader(path, self.top | self.kernel_top).mentions()

    def has(self, mention: Mention) -> bool:
        """Whether the name exists here, or for a path in the kernel."""
        return {
            "path": self._has_path,
            "command": self._has_command,
            "word": self._has_word,
            "link": self._has_link,
        }[mention.kind](mention)

    def misplaced(self, name: str) -> bool:
        """Whether `a::b` names something of the checkout's `a` that `a` does not have."""
        return any(
            not parts <= self.members[scope] for scope, parts in _pairs(name) if scope in self.members
        )

    def _add(self, path: Path, code: str) -> None:
        words = _words(code) | {path.stem}
        self.words |= words
        self.code += code
        if path.suffix != ".rs":
            return
        for scope in _scopes(code) | {path.stem, *path.parts[:-1]}:
            self.members[scope] |= words

    def _commands(self) -> Set[str]:
        main = next(path for path in self.files.values() if path.name == "__main__.py")
        return set(re.findall(r'^ +"([\w-]+)"[:,]', main.read_text(), re.MULTILINE))

    def _has_word(self, mention: Mention) -> bool:
        return _words(mention.name) <= self.words and not self.misplaced(mention.name)

    def _has_command(self, mention: Mention) -> bool:
        program, name = mention.name.split()
        return name in self.commands[program] or program == "make" and name in _targets(self.kernel)

    def _has_link(self, mention: Mention) -> bool:
        name, _, anchor = mention.name.partition("#")
        target = mention.file.parent / name if name else mention.file
        return target.exists() and (not anchor or anchor in _anchors(target.read_text()))

    def _has_path(self, mention: Mention) -> bool:
        name, _, line = mention.name.partition(":")
        return all(self._has_file(each, mention.file.parent, int(line or 1)) for each in _patterns(name))

    def _is_kernels(self, pattern: str) -> bool:
        """Both have a directory tools/. The name after it says whose it is."""
        place = "/".join(pattern.split("/")[:2])
        return not any(paths.REPO.glob(place)) and (self.kernel / place).is_dir()

    def _has_file(self, pattern: str, user: Path, line: int) -> bool:
        """A path begins at the top of the checkout, the file that uses it, or any directory."""
        first, slash, _ = pattern.partition("/")
        if first in GENERATED:
            return True
        if slash and (first in self.kernel_top or self._is_kernels(pattern)):
            return any(self.kernel.glob(pattern))
        if slash and first in self.top:
            return any(_lines(path) >= line for path in paths.REPO.glob(pattern))
        tail = re.compile(rf"(?:.*/)?{_expression(pattern)}(?:\.\w+|/.*)?")
        return (
            any(tail.fullmatch(name) and _lines(path) >= line for name, path in self.files.items())
            or any(user.glob(pattern))
            or pattern in self.code
            or (not slash and any(self.kernel.glob(f"arch/x86/kvm/**/{pattern}")))
        )


def _files() -> List[Path]:
    return sorted(
        path
        for path in paths.REPO.rglob("*")
        if path.is_file()
        and path.name != ".git"
        and not path.name.endswith((".mod.c", "_generated.rs"))
        and not GENERATED & set(path.relative_to(paths.REPO).parts)
    )


def _foreign() -> Set[str]:
    """The listed names; the rest of each line says whose they are."""
    lines = (line.partition("#")[0].split() for line in FOREIGN.read_text().splitlines())
    return {words[0] for words in lines if words}


def _in_kernel(kernel: Path, words: Iterable[str]) -> Set[str]:
    """Those of `words` that occur in the kernel."""
    found = subprocess.run(
        ["grep", "-rhowIF", "-f", "-", *(str(kernel / part) for part in KERNEL_PARTS)],
        input="\n".join(words),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return set(found.stdout.split())


def _words(text: str) -> Set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _bare(name: str) -> str:
    return name.removesuffix("()")


def _asked(name: str) -> Set[str]:
    """What the kernel is asked for: `a::b` as such, and its parts."""
    return {_bare(name), *_words(name)}


def _scopes(code: str) -> Set[str]:
    """What may stand before `::`: types, modules, and what a file implements."""
    return set(_TYPE.findall(code)) | {
        word for header in _IMPL.findall(code) for word in _words(header) if word[0].isupper()
    }


def _pairs(name: str) -> List[Tuple[str, Set[str]]]:
    parts = [_words(part) for part in re.split(r"::(?![^{]*\})", _HERE.sub("", name))]
    return [(scope, after) for before, after in zip(parts, parts[1:]) for scope in before]


def _targets(tree: Path) -> Set[str]:
    lines = re.findall(r"^PHONY.*", (tree / "Makefile").read_text(), re.MULTILINE)
    return {word for line in lines for word in line.split()[2:]}


def _anchors(text: str) -> Set[str]:
    """The headings' names in links, as forges make them."""
    return {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in _HEADING.findall(text)
    }


def _patterns(name: str) -> List[str]:
    """Braces hold a choice; what is in angle brackets stands for anything."""
    name = re.sub(r"<[^>]*>|\bNN(?:-name)?\b|\bNAME\b|\bFILE\b", "*", name).rstrip("/")
    braces = re.search(r"\{([^}]*)\}", name)
    if not braces:
        return [name]
    return [
        pattern
        for choice in braces[1].split(",")
        for pattern in _patterns(name[: braces.start()] + choice.strip() + name[braces.end() :])
    ]


def _expression(pattern: str) -> str:
    return "[^/]*".join(map(re.escape, pattern.split("*")))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 1
