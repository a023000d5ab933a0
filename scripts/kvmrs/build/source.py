# SPDX-License-Identifier: GPL-2.0
"""The pristine kernel source: a tarball (build/tarball.py), or the tree that KERNEL_SRC= names.

A build tree is filled from here and patched afterwards; nothing here is ever changed. One that is not
known (build/known.py) is tried, with a warning: most often the patches apply to it as well.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional

from ..base import proc, ui
from ..base.errors import KvmrsError
from ..tools import toolroot
from . import known, tarball

SUPPORTED = tarball.SUPPORTED


@dataclass(frozen=True)
class Source:
    """Kernel source of one version; `name` distinguishes it from every other source."""

    version: str
    name: str
    tarball: Optional[Path]
    tree: Optional[Path]

    def fill(self, tree: Path, keep: Iterable[str] = ()) -> bool:
        """Brings `tree` up to this source, except the files in `keep`; True if it changed."""
        if self.tree:
            return _copy(self.tree, tree, [f"--exclude=/{name}" for name in keep])
        if not (tree / "Makefile").exists():
            _unpack(self.tarball, tree)
            return True
        return False

    def extract(self, files: Iterable[str], into: Path) -> bool:
        """Copies the pristine `files`, as far as they exist, to `into`; True if any changed."""
        names = sorted(files)
        if self.tree:
            wanted = [f"--include=/{name}" for name in _with_parents(names)]
            return _copy(self.tree, into, [*wanted, "--exclude=*"])
        _unpack_files(self.tarball, names, into)
        return True


@functools.lru_cache(maxsize=None)
def ensure() -> Source:
    """The source that this run builds from; downloads it where it is not yet there."""
    given = os.environ.get("KERNEL_SRC")
    return _given(Path(given).absolute()) if given else _from_tarball()


def need_given() -> None:
    """Stops at once where KERNEL_SRC= or KERNEL_TARBALL= cannot work; the versions of tarballs come later."""
    for name, look in LOOKS.items():
        given = os.environ.get(name)
        if given:
            look(Path(given).absolute())


@functools.lru_cache(maxsize=None)
def warn(version: str, *trees: Path) -> None:
    """Says it once in a run if this source is not known; see known.doubts()."""
    for line in known.doubts(version, *trees):
        ui.say(f"  warning: {line}")


def version_of(tree: Path) -> str:
    """The version that a kernel tree's Makefile states, e.g. 7.3.4."""
    try:
        text = (tree / "Makefile").read_text()
    except OSError as error:
        raise KvmrsError(
            f"{tree} is not a kernel tree ({error.strerror})",
            "give the directory that holds the kernel's top Makefile",
        ) from error
    return tarball.version_in_makefile(text)


def need_supported(tree: Path) -> str:
    """The version of `tree`, which is one that the patches are made for."""
    version = version_of(tree)
    if not (version + ".").startswith(SUPPORTED + ".") and not version.startswith(SUPPORTED + "-"):
        raise KvmrsError(f"{tree} is Linux {version}", f"kvm_rs supports Linux {SUPPORTED}.x")
    return version


def need_clean(tree: Path) -> str:
    """The version of `tree`, a supported one that nobody has built in."""
    version = need_supported(tree)
    if (tree / ".config").exists():
        raise KvmrsError(
            f"KERNEL_SRC={tree} has been built in",
            "use a clean tree (make mrproper), or KDIR= for a patched, built one",
        )
    return version


LOOKS: Dict[str, Callable[[Path], str]] = {"KERNEL_SRC": need_clean, "KERNEL_TARBALL": tarball.need}
"""The settings that name a source, and what says what it is."""


def _given(tree: Path) -> Source:
    version = need_clean(tree)
    return Source(version, f"{version}-{_digest(str(tree))}", None, tree)


def _from_tarball() -> Source:
    found = tarball.ensure()
    return Source(found.version, found.name, found.path, None)


def _unpack(archive: Optional[Path], tree: Path) -> None:
    """Unpacks beside `tree` and renames: a tree that is there is complete."""
    part = tree.with_name(tree.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with ui.step("unpacking the kernel source") as shown:
        proc.run_logged(
            toolroot.command(["tar", "-xf", str(archive), "-C", str(part), "--strip-components=1"]),
            "unpack",
            shown,
        )
    shutil.rmtree(tree, ignore_errors=True)
    part.rename(tree)


def _unpack_files(archive: Optional[Path], names: List[str], into: Path) -> None:
    """tar fails for names that do not exist: files that a patch creates, so that is no error."""
    members = [f"*/{name}" for name in names]
    toolroot.run(
        [
            "tar",
            "-xf",
            str(archive),
            "-C",
            str(into),
            "--strip-components=1",
            "--wildcards",
            "--no-wildcards-match-slash",
            *members,
        ],
        stderr=subprocess.DEVNULL,
    )


def _copy(source: Path, into: Path, options: List[str]) -> bool:
    into.mkdir(parents=True, exist_ok=True)
    with ui.step(f"copying {source}") as shown:
        copied = proc.run_logged(
            toolroot.command(
                [
                    "rsync",
                    "-aO",
                    "--exclude=/.git",
                    "--out-format=%n",
                    *options,
                    f"{source}/",
                    f"{into}/",
                ]
            ),
            "copy",
            shown,
        )
    return any(not line.endswith("/") for line in copied.splitlines())


def _with_parents(names: List[str]) -> List[str]:
    parents = {f"{parent}/" for name in names for parent in Path(name).parents if parent.name}
    return [*sorted(parents), *names]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
