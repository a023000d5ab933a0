# SPDX-License-Identifier: GPL-2.0
"""Whether a kernel source is one that the series was tested on. Its KVM says so, file by file.

scripts/config/linux-<version>.sha256 lists these files. So it does not matter who packed the source
and how, nor what a distribution changes elsewhere.
"""

import hashlib
from pathlib import Path
from typing import Dict, Iterable, List, Set

from ..base import paths

LISTS = "linux-*.sha256"


def versions() -> List[str]:
    return list(_lists())


def newest(versions: Iterable[str]) -> str:
    """As numbers: 7.3.10 comes after 7.3.4."""
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def files() -> Set[str]:
    """Those of every version."""
    return {file for listed in _lists().values() for file in listed}


def doubts(version: str, *trees: Path) -> List[str]:
    """Reasons why the series may not apply to a source; none for one that is known. The first of the
    trees that has a file counts: some may hold the originals of what is patched in another."""
    listed = _lists().get(version)
    if listed is None:
        return [f"Linux {version} is not known, tested is {', '.join(versions())}; trying it"]
    changed = [file for file, digest in listed.items() if _digest(file, trees) != digest]
    if not changed:
        return []
    count = f"{len(changed)} of {len(listed)} files differ, {changed[0]} for one"
    return [f"KVM is not that of Linux {version} ({count}); trying it"]


def _lists() -> Dict[str, Dict[str, str]]:
    """Version -> file -> its checksum."""
    found = {}
    for path in sorted(paths.CONFIGS.glob(LISTS)):
        lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
        found[path.stem.removeprefix("linux-")] = {file: digest for digest, file in lines}
    return found


def _digest(file: str, trees: Iterable[Path]) -> str:
    """Empty where the file is not there."""
    for tree in trees:
        if (tree / file).is_file():
            return hashlib.sha256((tree / file).read_bytes()).hexdigest()
    return ""
