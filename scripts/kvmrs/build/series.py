# SPDX-License-Identifier: GPL-2.0
"""The host-kernel patches: apply, check, unapply, all or nothing.

A user's tree is patched in place. Build trees are brought from any older series to this one:
git applies the patches to copies of the originals, and only files whose contents differ are
written, so that make rebuilds no more than it must.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set

from ..base import paths
from ..base.errors import KvmrsError
from ..tools import git_apply
from . import source

Contents = Dict[str, Optional[bytes]]
"""File name in the tree -> contents, None where it does not exist."""

ABSENT = ".kvm_rs-absent"
"""Ends the name of a marker for a file that the original tree does not have."""


def patches() -> List[Path]:
    """The series in its order."""
    listing = paths.SERIES / "series"
    if not listing.exists():
        raise KvmrsError(f"{listing} is missing", "the checkout is not complete: clone it again")
    names = [line.split("#")[0].strip() for line in listing.read_text().splitlines()]
    return [paths.SERIES / name for name in names if name]


def files_of(series: Sequence[Path]) -> Set[str]:
    """Every file that the patches touch, create or remove."""
    found = set()
    for patch in series:
        for line in patch.read_text(errors="replace").splitlines():
            word = line.split("\t")[0]
            if word.startswith(("--- a/", "+++ b/")):
                found.add(word[6:])
    return found


def is_applied(tree: Path) -> bool:
    """Whether the series is in the tree; an error if it is not and does not apply either."""
    if not git_apply.problem_of(tree, patches()):
        return False
    if not git_apply.problem_of(tree, patches(), reverse=True):
        return True
    raise _misfit(tree)


def need_to_apply(tree: Path) -> None:
    """An error unless the series applies to the tree, which is not changed."""
    if git_apply.problem_of(tree, patches()):
        raise _misfit(tree)


def apply(tree: Path) -> None:
    git_apply.apply(tree, patches())


def unapply(tree: Path) -> None:
    git_apply.apply(tree, patches(), reverse=True)


def sync(tree: Path, pristine: Path, series: Optional[Sequence[Path]] = None) -> int:
    """Brings `tree` to pristine + series, whatever older series it holds now.

    `pristine` keeps the originals of every file that any series touched, so that an
    interrupted run, or a patch that was dropped, leaves no trace. Returns how many files
    were written.
    """
    series = patches() if series is None else series
    _save_originals(tree, pristine, files_of(patches()))
    return _store(tree, {**_originals(pristine), **_patched(pristine, series)})


def touched(pristine: Path) -> List[str]:
    """The files whose originals `pristine` keeps."""
    return sorted(_originals(pristine)) if pristine.exists() else []


def _patched(originals: Path, series: Sequence[Path]) -> Contents:
    """What the touched files of `originals` become with these patches applied."""
    files = files_of(series)
    with tempfile.TemporaryDirectory(prefix="kvm_rs-patch-") as name:
        for file, data in _read(originals, files).items():
            _write(Path(name, file), data)
        try:
            git_apply.apply(Path(name), series)
        except KvmrsError as error:
            raise _misfit(Path(name)) from error
        return _read(Path(name), files)


def _misfit(tree: Path) -> KvmrsError:
    """The error for the first patch that does not apply."""
    series = patches()
    problems = (git_apply.problem_of(tree, series[: count + 1]) for count in range(len(series)))
    patch, problem = next((patch, text) for patch, text in zip(series, problems) if text)
    found = re.search(r"error: (?:patch failed: )?([^:\n]+)", problem)
    version = source.version_of(tree) if (tree / "Makefile").exists() else "this version"
    return KvmrsError(
        f"{patch.name} does not apply to {found[1] if found else 'a file'} of Linux {version}",
        f"supported is Linux {source.SUPPORTED}.x as its maintainers released it",
        details=problem,
    )


def _read(tree: Path, files: Set[str]) -> Contents:
    return {file: (tree / file).read_bytes() if (tree / file).exists() else None for file in files}


def _store(tree: Path, contents: Contents) -> int:
    """Writes what differs, each file at once; returns how many. Other files keep their times."""
    changed = [(file, data) for file, data in contents.items() if _read(tree, {file})[file] != data]
    for file, data in changed:
        _write(tree / file, data)
    return len(changed)


def _save_originals(tree: Path, pristine: Path, files: Set[str]) -> None:
    """Keeps each file as it was before its first patch; absence is kept as a marker."""
    for file in files - set(touched(pristine)):
        data = (tree / file).read_bytes() if (tree / file).exists() else None
        _write(pristine / (file if data is not None else file + ABSENT), data or b"")


def _originals(pristine: Path) -> Contents:
    contents: Contents = {}
    for path in (path for path in pristine.rglob("*") if path.is_file()):
        name = str(path.relative_to(pristine))
        absent = name.endswith(ABSENT)
        contents[name.removesuffix(ABSENT)] = None if absent else path.read_bytes()
    return contents


def _write(path: Path, data: Optional[bytes]) -> None:
    """Replaces the file in one step, keeping its mode; None removes it."""
    if data is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".kvm_rs-new")
    fresh.write_bytes(data)
    if path.exists():
        shutil.copymode(path, fresh)
    os.replace(fresh, path)
