# SPDX-License-Identifier: GPL-2.0
"""What people read in a file, and what machines read: comments and code, apart.

Both keep the file's lines, so that a line number of one is that of the file.
"""

import io
import re
import tokenize
from pathlib import Path
from typing import Callable, List, Pattern, Tuple

SLASHED = (".rs", ".c", ".h")
HASHED = (".toml", ".config", ".sh")
HASHED_NAMES = ("Makefile", "Kbuild")

# Comments, and what may look like one but is a string. Block comments nest in Rust, which no
# regular expression follows; the project's style has none.
_SLASHED = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | b?r(?P<hashes>\#*)".*?"(?P=hashes)
      | [bc]?"(?:\\.|[^"\\])*"
      | '(?:\\[^']+|[^'\\])'""",
    re.DOTALL | re.VERBOSE,
)
_HASHED = re.compile(r"(?P<comment>(?<!\S)#[^\n]*)|\"[^\"\n]*\"|'[^'\n]*'")

_LEADER = re.compile(r"^[ \t]*(?://[/!]?|/?\*+/?|#+!?)", re.MULTILINE)
_BETWEEN_STATEMENTS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
_NO_CODE = (tokenize.NL, tokenize.COMMENT)


def is_source(path: Path) -> bool:
    """Whether split() knows the comments of this file."""
    return path.suffix in (*SLASHED, *HASHED, ".py") or path.name in HASHED_NAMES


def split(path: Path) -> Tuple[str, str]:
    """The comments of a source file, and the rest of it."""
    text = path.read_text()
    if path.suffix == ".py":
        comments = _python_comments(text)
    else:
        pattern = _SLASHED if path.suffix in SLASHED else _HASHED
        comments = [found.span() for found in pattern.finditer(text) if found["comment"]]
    code, prose, end = "", "", 0
    for start, stop in [*comments, (len(text), len(text))]:
        code += text[end:start] + _blank(text[start:stop])
        prose += _blank(text[end:start]) + text[start:stop]
        end = stop
    return blanked(_LEADER, prose), code


def blanked(pattern: Pattern[str], text: str, only_if: Callable[[str], bool] = bool) -> str:
    """`text` with everything that matches blanked; positions stay."""
    return pattern.sub(
        lambda found: _blank(found.group()) if only_if(found.group()) else found.group(), text
    )


def only(span: Tuple[int, int], text: str) -> str:
    """`text` with everything outside of `span` blanked."""
    start, end = span
    return _blank(text[:start]) + text[start:end] + _blank(text[end:])


def line(text: str, position: int) -> int:
    """The line of a position, from 1."""
    return text.count("\n", 0, position) + 1


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _python_comments(text: str) -> List[Tuple[int, int]]:
    """Comments, and strings that are statements: those document what they stand under."""
    starts = [0]
    for each in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(each))
    found, before = [], tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        document = token.type == tokenize.STRING and before in _BETWEEN_STATEMENTS
        if token.type == tokenize.COMMENT or document:
            found.append(
                (starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1])
            )
        if token.type not in _NO_CODE:
            before = token.type
    return found
