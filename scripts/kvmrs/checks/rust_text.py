# SPDX-License-Identifier: GPL-2.0
"""Rust files of the checkout, and their text without comments and strings."""

import re
from pathlib import Path
from typing import Iterator, List, Tuple

from ..base import paths

GENERATED = {"out", "target", ".git"}

# What is not code: comments, strings (raw ones too) and character literals. Block comments
# nest in Rust, which no regular expression follows; the project's style has none.
_NOT_CODE = re.compile(
    r"""//[^\n]*
      | /\*.*?\*/
      | b?r(?P<hashes>\#*)".*?"(?P=hashes)
      | [bc]?"(?:\\.|[^"\\])*"
      | '(?:\\[^']+|[^'\\])'""",
    re.DOTALL | re.VERBOSE,
)


def files(suffixes: Tuple[str, ...] = (".rs",)) -> List[Path]:
    """Files of the checkout with those endings, build products left out."""
    return sorted(
        path
        for path in paths.REPO.rglob("*")
        if path.suffix in suffixes
        and path.is_file()
        and not path.name.endswith((".mod.c", "_generated.rs"))
        and not GENERATED & set(path.relative_to(paths.REPO).parts)
    )


def code(text: str) -> str:
    """`text` with everything that is not code blanked; line numbers stay."""
    return _NOT_CODE.sub(lambda found: "\n" * found.group().count("\n") + " ", text)


def forbids_unsafe(text: str) -> bool:
    """Whether a file with this text, without comments, may have no `unsafe`, nor what lies below it."""
    return bool(re.search(r"#!\[forbid\([^)]*\bunsafe_code\b", text))


def uses_of(word: str, path: Path) -> Iterator[str]:
    """file:line of each use of an identifier as code."""
    for number, line in enumerate(code(path.read_text()).splitlines(), 1):
        if re.search(rf"\b{word}\b", line):
            yield f"{path.relative_to(paths.REPO)}:{number}: {line.strip()}"
