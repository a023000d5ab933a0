# SPDX-License-Identifier: GPL-2.0
"""A file of rust/ without `unsafe` says that it has none, so that nobody can add some in passing.

`#![forbid(unsafe_code)]` is also for what lies below. So a mod.rs above a file with `unsafe` cannot have
it, nor can a file that includes another one.
"""

import re
from pathlib import Path
from typing import Dict, Iterator

from ..base import paths
from ..base.errors import KvmrsError
from . import rust_text

TRUSTED = paths.REPO / "rust"


def say_so() -> None:
    """Each file of rust/ that needs no `unsafe` forbids it."""
    files = {path: rust_text.code(path.read_text()) for path in rust_text.files() if _is_trusted(path)}
    wrong = [str(path.relative_to(paths.REPO)) for path in silent(files)]
    if wrong:
        raise KvmrsError(
            f"{len(wrong)} files of rust/ have no unsafe code, and do not forbid it",
            "add #![forbid(unsafe_code)]",
            details="\n".join(wrong),
        )


def silent(files: Dict[Path, str]) -> Iterator[Path]:
    """Those of the files, whose text has no comments, that could forbid `unsafe` and do not."""
    unsafe = [path for path, text in files.items() if re.search(r"\bunsafe\b", text)]
    for path, text in files.items():
        below = [other for other in unsafe if path.name == "mod.rs" and path.parent in other.parents]
        needs_it = path in unsafe or below or "include!" in text
        if not needs_it and not rust_text.forbids_unsafe(text):
            yield path


def _is_trusted(path: Path) -> bool:
    return TRUSTED in path.parents
