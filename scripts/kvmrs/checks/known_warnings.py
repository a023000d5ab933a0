# SPDX-License-Identifier: GPL-2.0
"""The kernel lines that selftests/klog-allow.toml names must be those that warn.

A warning names its line, and each change of the series moves lines: an entry that has not
moved with them would let through another warning of that file, and not its own.
"""

import re
import tomllib
from pathlib import Path
from typing import List

from ..base import paths
from ..base.errors import KvmrsError
from ..build import kernel as built_kernel

_ALLOWED = paths.REPO / "selftests" / "klog-allow.toml"
_PLACE = re.compile(r"WARNING: (\S+):(\d+) at ")


def in_place() -> None:
    """Each warning that a kernel log may have comes from a line that warns."""
    wrong = misplaced(built_kernel.ensure().path)
    if wrong:
        raise KvmrsError(
            "selftests/klog-allow.toml names lines that do not warn",
            "correct the line numbers",
            details="\n".join(wrong),
        )


def misplaced(kernel: Path) -> List[str]:
    """file:line of each entry's warning that the patched kernel tree does not have there."""
    texts = [line["text"] for line in tomllib.loads(_ALLOWED.read_text())["line"]]
    places = [place for text in texts if (place := _PLACE.match(text))]
    return [
        f"{place[1]}:{place[2]}: no WARN here"
        for place in places
        if not _warns(kernel / place[1], int(place[2]))
    ]


def _warns(file: Path, line: int) -> bool:
    lines = file.read_text().splitlines() if file.is_file() else []
    return "WARN" in "".join(lines[line - 1 : line])
