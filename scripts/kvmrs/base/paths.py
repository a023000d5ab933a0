# SPDX-License-Identifier: GPL-2.0
"""Where things are. Everything that can be made again lives in the cache or in out/."""

import errno
import hashlib
import os
import re
from pathlib import Path
from typing import List

from .errors import KvmrsError

REPO = Path(__file__).resolve().parents[3]
"""The checkout. It is visible at this same path inside the tools root."""

SERIES = REPO / "patches" / "7.3"
CONFIGS = REPO / "scripts" / "config"
OTHER_CACHE = "set XDG_CACHE_HOME to a place that can be written to"
OTHER_CHECKOUT = "results go to out/ in there: use a copy of it"


def cache() -> Path:
    """Tools root, kernel trees, build products: ${XDG_CACHE_HOME:-~/.cache}/kvm_rs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return _made(Path(base).absolute() / "kvm_rs", OTHER_CACHE)


def of_checkout(name: str) -> Path:
    """A directory in the cache for this checkout alone: the products of two checkouts never mix."""
    return cache() / f"{name}-{hashlib.sha256(str(REPO).encode()).hexdigest()[:6]}"


def out() -> Path:
    """Results for people and CI: selftests.json, bench.json, logs."""
    return _made(REPO / "out", OTHER_CHECKOUT)


def logs() -> Path:
    """Full output of every long step; errors name the file in here."""
    return _made(out() / "logs", OTHER_CHECKOUT)


def given() -> List[Path]:
    """Directories and files outside the checkout and the cache that the user named."""
    settings = ("KDIR", "KERNEL_SRC", "KERNEL_TARBALL", "INSTALL_MOD_PATH")
    names = (os.environ.get(name) for name in settings)
    return [Path(name).absolute() for name in names if name and Path(name).exists()]


def need_usable() -> None:
    """Stops at once where nothing can work: a path that make would split, no out/ or no cache."""
    for place in (REPO, cache(), *given()):
        if re.search(r"[\s:]", str(place)):
            raise KvmrsError(
                f"the path {str(place)!r} has a space or a colon in it",
                "the kernel's make takes neither: use another place",
            )
    for place, hint in ((REPO, OTHER_CHECKOUT), (cache(), OTHER_CACHE)):
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            raise KvmrsError(f"{place} is read-only", hint)


def _made(path: Path, hint: str) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise KvmrsError(f"{path} cannot be made ({error.strerror})", hint) from error
    return path
