# SPDX-License-Identifier: GPL-2.0
"""Source files are short enough to be read at one go."""

from ..base import paths
from ..base.errors import KvmrsError
from . import rust_text

LIMIT = 400
"""Lines of a file."""


def moderate() -> None:
    """No source file has more lines than LIMIT."""
    lines = {
        path: len(path.read_text().splitlines()) for path in rust_text.files((".rs", ".py", ".c", ".h"))
    }
    long = {path: count for path, count in lines.items() if count > LIMIT}
    if long:
        raise KvmrsError(
            f"{len(long)} files have more than {LIMIT} lines",
            "split them by subject",
            details="\n".join(
                f"{path.relative_to(paths.REPO)}: {count}" for path, count in long.items()
            ),
        )
