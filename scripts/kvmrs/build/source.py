# SPDX-License-Identifier: GPL-2.0
"""The pristine kernel source: the distribution's package, or the tree that KERNEL_SRC= names.

A build tree is filled from here and patched afterwards; nothing here is ever changed.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Optional

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import packages, toolroot
from ..tools.build_machine import version_in

SUPPORTED = "7.3"


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
    return _given(Path(given).absolute()) if given else _packaged()


def version_of(tree: Path) -> str:
    """The version that a kernel tree's Makefile states, e.g. 7.3.4."""
    try:
        lines = (tree / "Makefile").read_text().splitlines()[:6]
    except OSError as error:
        raise KvmrsError(f"{tree} is not a kernel tree ({error.strerror})",
                         "give the directory that holds the kernel's top Makefile") from error
    parts = {line.split("=")[0].strip(): line.split("=")[1].strip() for line in lines if "=" in line}
    number = ".".join(parts.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return number.removesuffix(".0") + parts.get("EXTRAVERSION", "")


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
        raise KvmrsError(f"KERNEL_SRC={tree} has been built in",
                         "use a clean tree (make mrproper), or KDIR= for a patched, built one")
    return version


def _given(tree: Path) -> Source:
    version = need_clean(tree)
    return Source(version, f"{version}-{_digest(str(tree))}", None, tree)


def _packaged() -> Source:
    folder = paths.cache() / "source"
    if not (folder / "version").exists():
        toolroot.ensure()
        with lock.hold("fetching the kernel source", "source"):
            _fetch(folder)
    version = (folder / "version").read_text().strip()
    return Source(version, version, folder / f"{packages.SOURCE}.tar.xz", None)


def _fetch(folder: Path) -> None:
    """Downloads the package; the file "version", written last, says that all is there."""
    if (folder / "version").exists():
        return
    folder.mkdir(exist_ok=True)
    options = _apt_options(folder)
    with ui.step(f"kernel source: package {packages.SOURCE}") as shown:
        for words in (["update", "--error-on=any"], ["download", packages.SOURCE]):
            proc.run_logged(toolroot.command(packages.apt_get(*options, *words), cwd=folder),
                            "source", shown, append=True, hint=proc.NETWORK)
        package = next(folder.glob(f"{packages.SOURCE}_*.deb"))
        tarball = f"usr/src/{packages.SOURCE}.tar.xz"
        proc.run_logged(toolroot.command(["dpkg-deb", "-x", str(package), "unpacked"], cwd=folder),
                        "source", shown, append=True)
        os.replace(folder / "unpacked" / tarball, folder / f"{packages.SOURCE}.tar.xz")
        shutil.rmtree(folder / "unpacked")
        package.unlink()
    version = version_in(package.name, "linux-source-7.3_")
    (folder / "version").write_text(".".join(map(str, version)) + "\n")


def _apt_options(folder: Path) -> List[str]:
    """apt settings with a source list of our own: the machine's own lists stay as they are."""
    (folder / "lists").mkdir(exist_ok=True)
    sources = folder / "sources.list"
    sources.write_text(f"deb {_mirror()} {packages.SOURCE_SUITE} main\n")
    settings = {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-",
                "Dir::State::lists": folder / "lists", "Dir::Cache": folder / "apt",
                "APT::Sandbox::User": "root"}
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _mirror() -> str:
    """The Debian mirror that the tools came from."""
    if toolroot.ensure() is None and not shutil.which("apt-get"):
        raise KvmrsError("the kernel source comes from a Debian package, and there is no apt here",
                         f"give a Linux {SUPPORTED} source tree: KERNEL_SRC=<directory>")
    lines = toolroot.output(["apt-get", "indextargets", "--format", "$(REPO_URI)",
                             "Created-By: Packages", "Label: Debian", "Component: main"])
    if not lines:
        raise KvmrsError("apt knows no Debian mirror", "run apt-get update and try again")
    return lines.splitlines()[0]


def _unpack(tarball: Optional[Path], tree: Path) -> None:
    """Unpacks beside `tree` and renames: a tree that is there is complete."""
    part = tree.with_name(tree.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with ui.step("unpacking the kernel source") as shown:
        proc.run_logged(toolroot.command(["tar", "-xJf", str(tarball), "-C", str(part),
                                          "--strip-components=1"]), "unpack", shown)
    shutil.rmtree(tree, ignore_errors=True)
    part.rename(tree)


def _unpack_files(tarball: Optional[Path], names: List[str], into: Path) -> None:
    """tar fails for names that do not exist: files that a patch creates, so that is no error."""
    members = [f"{packages.SOURCE}/{name}" for name in names]
    toolroot.run(["tar", "-xJf", str(tarball), "-C", str(into), "--strip-components=1", *members],
                 stderr=subprocess.DEVNULL)


def _copy(source: Path, into: Path, options: List[str]) -> bool:
    into.mkdir(parents=True, exist_ok=True)
    with ui.step(f"copying {source}") as shown:
        copied = proc.run_logged(
            toolroot.command(["rsync", "-aO", "--exclude=/.git", "--out-format=%n", *options,
                              f"{source}/", f"{into}/"]), "copy", shown)
    return any(not line.endswith("/") for line in copied.splitlines())


def _with_parents(names: List[str]) -> List[str]:
    parents = {f"{parent}/" for name in names for parent in Path(name).parents if parent.name}
    return [*sorted(parents), *names]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
