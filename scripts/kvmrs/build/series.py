# SPDX-License-Identifier: GPL-2.0
"""The host-kernel patches: apply, check, unapply, all or nothing.

Patches are applied to copies of the files they touch, in a scratch directory; the tree sees
the outcome only when every patch went in, and only files whose contents differ are written.
So a failed patch changes nothing, and make rebuilds no more than it must.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set

from ..base import paths
from ..base.errors import KvmrsError
from ..tools import toolroot
from . import source

Contents = Dict[str, Optional[bytes]]
"""File name in the tree -> contents, None where it does not exist."""


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


def patched(originals: Path, reverse: bool = False) -> Contents:
    """What the touched files of `originals` become with the series applied (or taken back)."""
    series = patches()
    files = files_of(series)
    with tempfile.TemporaryDirectory(prefix="kvm_rs-patch-") as name:
        scratch = Path(name)
        for file, data in read(originals, files).items():
            _write(scratch / file, data)
        for patch in reversed(series) if reverse else series:
            _patch(scratch, patch, reverse, originals)
        return read(scratch, files)


def read(tree: Path, files: Set[str]) -> Contents:
    return {file: (tree / file).read_bytes() if (tree / file).exists() else None for file in files}


def store(tree: Path, contents: Contents) -> int:
    """Writes what differs, each file at once; returns how many. Other files keep their times."""
    changed = [(file, data) for file, data in contents.items() if read(tree, {file})[file] != data]
    for file, data in changed:
        _write(tree / file, data)
    return len(changed)


def state(tree: Path) -> str:
    """ "clean" (the series applies), "applied" (it can be taken back); an error otherwise."""
    try:
        patched(tree)
        return "clean"
    except KvmrsError:
        try:
            patched(tree, reverse=True)
            return "applied"
        except KvmrsError:
            pass
        raise


def sync(tree: Path, pristine: Path) -> int:
    """Brings `tree` to pristine + series, whatever older series it holds now.

    `pristine` keeps the originals of every file that any series touched, so that an
    interrupted run, or a patch that was dropped, leaves no trace.
    """
    _save_originals(tree, pristine, files_of(patches()))
    return store(tree, {**_originals(pristine), **patched(pristine)})


def touched(pristine: Path) -> List[str]:
    """The files whose originals `pristine` keeps."""
    return sorted(_originals(pristine)) if pristine.exists() else []


def _patch(scratch: Path, patch: Path, reverse: bool, tree: Path) -> None:
    """No fuzz: a hunk that only fits roughly may land in the wrong place."""
    argv = ["patch", "-p1", "--fuzz=0", "--forward", "--no-backup-if-mismatch", "-i", str(patch)]
    argv += ["--reverse"] if reverse else []
    if shutil.which("patch") is None:
        argv = toolroot.command(argv, cwd=scratch)
    done = subprocess.run(
        argv,
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        version = source.version_of(tree) if (tree / "Makefile").exists() else "this version"
        raise KvmrsError(
            f"{patch.name} does not apply to {_failed_file(done.stdout)} of Linux {version}",
            f"supported is Linux {source.SUPPORTED}.x as its maintainers released it",
            details=done.stdout,
        )


def _failed_file(output: str) -> str:
    """The file that patch was at when it first failed, from what it printed."""
    current = "a file"
    for line in output.splitlines():
        if line.startswith("patching file "):
            current = line.split(" ", 2)[2].strip("'")
        elif line.startswith("|+++ b/"):
            current = line.split("\t")[0][7:]
        elif "FAILED" in line or "File to patch" in line or "Reversed" in line:
            break
    return current


def _save_originals(tree: Path, pristine: Path, files: Set[str]) -> None:
    """Keeps each file as it was before its first patch; absence is kept as a marker."""
    for file in files - set(touched(pristine)):
        data = (tree / file).read_bytes() if (tree / file).exists() else None
        _write(pristine / (file if data is not None else file + ABSENT), data or b"")


ABSENT = ".kvm_rs-absent"


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
