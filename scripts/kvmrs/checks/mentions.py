# SPDX-License-Identifier: GPL-2.0
"""The names that documents and comments use; names.py says which of them exist.

In backticks everything counts that looks like a name. Elsewhere only what can hardly be anything
else: a path below a top-level directory, a file with a known ending, a word with an underscore.
"""

import re
from pathlib import Path
from typing import AbstractSet, Iterator, NamedTuple

from ..base import paths
from . import prose

CHANGELOG = "CHANGELOG.md"
"""It may name what is gone."""

_MAINTAINED = re.compile(r"^F:\s+(\S+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_LANGUAGE = re.compile(r" *```(?:c|rust)\n")
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_URL = re.compile(r"\w+://[^\s)>]+")
_COMMAND = re.compile(r"(?<![^\s(])(make|scripts/kvmrs\.sh)(?: +[A-Z_]+=\S+)* +([a-z][a-z_-]*)\b(?!=)")
_PATH = re.compile(r"(?<![\w./<>~$@=:…-])[\w.{*<][\w./{},*<>+-]*[\w/}*>](?::\d+)?(?![\w…])")
_FILE = re.compile(r"[\w.{},*<>-]+\.(?:rs|py|c|h|toml|md|sh|config|patch)(?::\d+)?")
_WORD = re.compile(r"(?<![\w-])[A-Za-z_]\w*(?:::(?:[A-Za-z_]\w*|\{[\w,\s]+\}))*(?:\(\))?")

# Beginnings of names, such as KVM_*, and CONFIG_X for any option.
_PLACEHOLDER = re.compile(r"\w*_X?")

# What makes a word a name: outside of backticks, and in them.
_MARKED = re.compile(r"\w_\w|\(\)")
_NAME = re.compile(r"\w_\w|\(\)|::|[a-z][A-Z]|^[A-Z][a-z]")


class Mention(NamedTuple):
    """A name, and the place that uses it. `kind` is path, command, word or link."""

    file: Path
    line: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(paths.REPO)}:{self.line}: there is no {self.kind} {self.name}"


class Reader:
    """Finds the names in a file. `tops` are the directories that a path may begin with."""

    def __init__(self, path: Path, tops: AbstractSet[str]) -> None:
        self.path = path
        self.tops = tops

    def mentions(self) -> Iterator[Mention]:
        """All names of a document, or of a source file's comments."""
        if self.path.name == "MAINTAINERS":
            yield from self._maintained(self.path.read_text())
        elif self.path.suffix == ".md" and self.path.name != CHANGELOG:
            yield from self._document(self.path.read_text())
        elif prose.is_source(self.path):
            yield from self._prose(prose.split(self.path)[0])

    def _maintained(self, text: str) -> Iterator[Mention]:
        for found in _MAINTAINED.finditer(text):
            yield self._mention(text, found.start(), "path", found[1])

    def _document(self, text: str) -> Iterator[Mention]:
        for found in _LINK.finditer(text):
            if not _URL.match(found[1]):
                yield self._mention(text, found.start(), "link", found[1])
        for found in _FENCE.finditer(text):
            fence = prose.only(found.span(), text)
            yield from self._commands(fence)
            yield from self._paths(fence)
            if _LANGUAGE.match(found.group()):
                yield from self._marked(fence)
        yield from self._prose(prose.blanked(_LINK, prose.blanked(_FENCE, text)))

    def _prose(self, text: str) -> Iterator[Mention]:
        text = prose.blanked(_URL, text)
        for found in _SPAN.finditer(text):
            yield from self._span(text, found.start(), found[1])
        bare = prose.blanked(_SPAN, text)
        yield from self._paths(bare)
        yield from self._marked(prose.blanked(_PATH, bare, self._is_path))

    def _span(self, text: str, start: int, code: str) -> Iterator[Mention]:
        """What stands in backticks: a command, a path, or code with names in it."""
        command = _COMMAND.match(code)
        if command:
            yield self._mention(text, start, "command", f"{command[1]} {command[2]}")
        elif _PATH.fullmatch(code) and (self._is_path(code) or "/" in code):
            yield self._mention(text, start, "path", code)
        else:
            for found in _WORD.finditer(code):
                if _NAME.search(found.group()) or found.group() == code:
                    yield from self._word(text, start, found.group())

    def _marked(self, text: str) -> Iterator[Mention]:
        for found in _WORD.finditer(text):
            if _MARKED.search(found.group()):
                yield from self._word(text, found.start(), found.group())

    def _word(self, text: str, start: int, name: str) -> Iterator[Mention]:
        if not _PLACEHOLDER.fullmatch(name):
            yield self._mention(text, start, "word", name)

    def _commands(self, text: str) -> Iterator[Mention]:
        for found in _COMMAND.finditer(text):
            yield self._mention(text, found.start(), "command", f"{found[1]} {found[2]}")

    def _paths(self, text: str) -> Iterator[Mention]:
        for found in _PATH.finditer(text):
            if self._is_path(found.group()):
                yield self._mention(text, found.start(), "path", found.group().rstrip(".,"))

    def _is_path(self, text: str) -> bool:
        first, slash, _ = text.partition("/")
        return bool(slash) and first in self.tops or bool(_FILE.fullmatch(text))

    def _mention(self, text: str, position: int, kind: str, name: str) -> Mention:
        return Mention(self.path, prose.line(text, position), kind, name)
