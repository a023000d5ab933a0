# SPDX-License-Identifier: GPL-2.0
"""The tarball of the kernel source: the one that KERNEL_TARBALL= names, the distribution's, kernel.org's."""

import hashlib
import os
import shutil
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, List

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import packages, toolroot
from . import known

SUPPORTED = "7.3"
UPSTREAM = "https://cdn.kernel.org/pub/linux/kernel/v7.x"
GIVE = "give one: KERNEL_TARBALL=<linux-7.3.4.tar.xz> or KERNEL_SRC=<tree>"


@dataclass(frozen=True)
class Tarball:
    """`name` distinguishes it from every other one."""

    path: Path
    version: str
    name: str


def ensure() -> Tarball:
    """The tarball that this run builds from; fetched where there is none yet."""
    given = os.environ.get("KERNEL_TARBALL")
    if given:
        return _given(Path(given).absolute())
    folder = paths.cache() / "source"
    toolroot.ensure()
    with lock.hold("fetching the kernel source", "source"):
        if not (folder / "version").exists():
            folder.mkdir(exist_ok=True)
            _fetch(folder)
    version = (folder / "version").read_text().strip()
    return Tarball(_fetched(folder), version, version)


def need(path: Path) -> str:
    """Says that it is there, and a tarball."""
    if not path.is_file() or not os.access(path, os.R_OK):
        raise KvmrsError(f"there is no file {path} that can be read", GIVE)
    if not tarfile.is_tarfile(path):
        raise KvmrsError(f"{path} is no tarball", GIVE)
    return "there"


def version_in_makefile(text: str) -> str:
    """The version that a kernel's top Makefile states, e.g. 7.3.4."""
    lines = text.splitlines()[:6]
    parts = {line.split("=")[0].strip(): line.split("=")[1].strip() for line in lines if "=" in line}
    number = ".".join(parts.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return number.removesuffix(".0") + parts.get("EXTRAVERSION", "")


def _given(path: Path) -> Tarball:
    """There may be several."""
    need(path)
    version = _version(path)
    return Tarball(path, version, f"{version}-{_checksum(path)[:8]}")


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(path: Path) -> str:
    """As its top Makefile states it; the rest is not looked at. It must be a supported one."""
    options = ["--occurrence=1", "--wildcards", "--no-wildcards-match-slash"]
    text = toolroot.run(["tar", "-xOf", str(path), *options, "*/Makefile"], capture_output=True).stdout
    if "PATCHLEVEL" not in text:
        raise KvmrsError(f"{path} is no tarball of a kernel", GIVE)
    version = version_in_makefile(text[text.index("VERSION") :])
    if not f"{version}.".startswith(f"{SUPPORTED}."):
        raise KvmrsError(f"{path} is Linux {version}", f"kvm_rs supports Linux {SUPPORTED}.x")
    return version


def _fetched(folder: Path) -> Path:
    return sorted(folder.glob("*.tar.xz"))[0]


def _fetch(folder: Path) -> None:
    """The first source that has one. The file "version", written last, says that all is there."""
    reasons = []
    for name, fetch in ("Debian", _package), ("kernel.org", _upstream):
        try:
            fetch(folder)
            break
        except OSError as error:
            reasons.append(f"{name}: {proc.reason_of(error)}")
        except KvmrsError as error:
            reasons.append(f"{name}: {error}")
    else:
        raise _none_fetched("\n".join(reasons))
    (folder / "version").write_text(_version(_fetched(folder)) + "\n")


def _none_fetched(reasons: str) -> KvmrsError:
    """Where nothing could be fetched, that does not say that nobody has it."""
    way_out = proc.way_out(reasons)
    if not way_out:
        return KvmrsError(f"nobody has the source of Linux {SUPPORTED}", GIVE, reasons)
    hint = f"{way_out}, or {GIVE}"
    return KvmrsError(f"the source of Linux {SUPPORTED} cannot be fetched", hint, reasons)


def _upstream(folder: Path) -> None:
    """What arrives must be what kernel.org lists: a connection that breaks gives a shorter file."""
    name = f"linux-{known.newest(known.versions())}.tar.xz"
    part = folder / f"{name}.part"
    with ui.step(f"kernel source: {name}"):
        listed = _listed(name)
        with _open(name) as answer, open(part, "wb") as file:
            shutil.copyfileobj(answer, file)
    if _checksum(part) != listed:
        raise KvmrsError(f"{name} is not what kernel.org's sha256sums.asc lists", "try again")
    part.replace(folder / name)


def _listed(name: str) -> str:
    """The checksum that kernel.org publishes for a tarball."""
    with _open("sha256sums.asc") as answer:
        lines = [line.split() for line in answer.read().decode().splitlines()]
    sums = [words[0] for words in lines if words[1:] == [name]]
    if not sums:
        raise KvmrsError(f"kernel.org's sha256sums.asc does not list {name}")
    return sums[0]


def _open(name: str) -> IO[bytes]:
    return urllib.request.urlopen(f"{UPSTREAM}/{name}", timeout=60)


def _package(folder: Path) -> None:
    options = _apt_options(folder)
    with ui.step(f"kernel source: package {packages.SOURCE}") as shown:
        for words in (["update", "--error-on=any"], ["download", packages.SOURCE]):
            proc.run_logged(
                toolroot.command(packages.apt_get(*options, *words), cwd=folder),
                "source",
                shown,
                append=True,
            )
        package = next(folder.glob(f"{packages.SOURCE}_*.deb"))
        tarball = f"usr/src/{packages.SOURCE}.tar.xz"
        proc.run_logged(
            toolroot.command(["dpkg-deb", "-x", str(package), "unpacked"], cwd=folder),
            "source",
            shown,
            append=True,
        )
        os.replace(folder / "unpacked" / tarball, folder / f"{packages.SOURCE}.tar.xz")
        shutil.rmtree(folder / "unpacked")
        package.unlink()


def _apt_options(folder: Path) -> List[str]:
    """apt settings with a source list of our own: the machine's own lists stay as they are."""
    (folder / "lists").mkdir(exist_ok=True)
    sources = folder / "sources.list"
    sources.write_text(f"deb {_mirror()} {packages.SOURCE_SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "apt",
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _mirror() -> str:
    """The Debian mirror that the tools came from."""
    if toolroot.ensure() is None and not shutil.which("apt-get"):
        raise KvmrsError("there is no apt here")
    lines = toolroot.output(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
            "Label: Debian",
            "Component: main",
        ]
    )
    if not lines:
        raise KvmrsError("apt knows no Debian mirror", "run apt-get update and try again")
    return lines.splitlines()[0]
