# SPDX-License-Identifier: GPL-2.0
"""Commands that find the right tools: on the build machine, or in a private Debian root.

Inside the root the checkout, the cache and /tmp are at the same absolute paths, so that a
caller need not know where its command runs.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..base import lock, paths, privilege, proc, ui
from ..base.errors import KvmrsError
from . import bootstrap, build_machine, enter, packages

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@functools.lru_cache(maxsize=None)
def ensure() -> Optional[Path]:
    """The tools are there afterwards. The root that holds them, or None: the build machine does."""
    build_machine.need_architecture()
    if build_machine.has_tools():
        return None
    root = default_root()
    if bootstrap.ready(root):
        privilege.become_root("entering the tools root")
        return root
    privilege.become_root("installing tools")
    if _installed_here():
        return None
    bootstrap.ensure(root)
    return root


def add(feature: str, program: str, names: List[str]) -> None:
    """`program` is there afterwards: packages that only one command needs come with its first use."""
    root = ensure()
    if root is not None:
        bootstrap.add(root, feature, names)
    elif not shutil.which(program, path=build_machine.search_path()):
        if not shutil.which("apt-get"):
            raise KvmrsError(f"{program} is missing", f"install {' '.join(names)}")
        privilege.become_root(f"installing {feature}")
        _install(feature, names)


def has(feature: str, program: str) -> bool:
    """Whether add() would have nothing to do; installs nothing."""
    if build_machine.has_tools():
        return bool(shutil.which(program, path=build_machine.search_path()))
    return bootstrap.has(default_root(), feature)


def crates() -> Path:
    """The home of cargo, where the crates are that it has fetched: the user's own on a machine with the tools."""
    if build_machine.has_tools():
        return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    return paths.cache() / "cargo"


def command(
    argv: Sequence[str],
    cwd: Path = paths.REPO,
    mounts: Sequence[Path] = (),
    env: Optional[Mapping[str, str]] = None,
) -> List[str]:
    """The build machine's command line that runs `argv` with the tools, for subprocess or proc.

    `mounts` are further directories to show at their own paths; `env` is added to a clean
    environment. Every wrapper execs, so that the process is `argv` itself: killing it works.
    """
    root = ensure()
    if root is None:
        settings = [f"{name}={value}" for name, value in (env or {}).items()]
        return ["env", "-C", str(cwd), f"PATH={build_machine.search_path()}", *settings, *argv]
    certificates = [CERTIFICATES] if CERTIFICATES.exists() else []
    shown = [paths.REPO, paths.cache(), *paths.given(), *certificates, *mounts]
    return enter.command(root, argv, cwd, shown, env)


def run(
    argv: Sequence[str],
    cwd: Path = paths.REPO,
    mounts: Sequence[Path] = (),
    env: Optional[Mapping[str, str]] = None,
    **options: Any,
) -> "subprocess.CompletedProcess[str]":
    """subprocess.run() with the tools; text mode, options such as check=, stdout= pass through."""
    return subprocess.run(command(argv, cwd, mounts, env), **{"text": True, **options})


def popen(
    argv: Sequence[str],
    cwd: Path = paths.REPO,
    mounts: Sequence[Path] = (),
    env: Optional[Mapping[str, str]] = None,
    **options: Any,
) -> "subprocess.Popen[Any]":
    """subprocess.Popen() with the tools, for a command to watch or to talk to."""
    return subprocess.Popen(command(argv, cwd, mounts, env), **options)


def output(argv: Sequence[str], cwd: Path = paths.REPO) -> str:
    """What a command prints; a KvmrsError if it fails."""
    done = run(argv, cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise KvmrsError(
            f"{argv[0]} failed (exit {done.returncode})", proc.way_out(done.stderr), details=done.stderr
        )
    return done.stdout


def file(path: str) -> Path:
    """Where a file of the tools (say /usr/bin/busybox) is for a program of the build machine."""
    root = ensure()
    return Path(path) if root is None else root / path.lstrip("/")


@functools.lru_cache(maxsize=None)
def versions() -> str:
    """Names the compilers: a kernel built by others is another kernel."""
    lines = [output([tool, "--version"]).splitlines()[0] for tool in ("clang", "rustc", "bindgen")]
    return "\n".join(lines)


def default_root() -> Path:
    return paths.cache() / f"root-{packages.key()}"


def _installed_here() -> bool:
    """On Debian 13 and later plain apt-get is enough: no second Debian inside the first."""
    if build_machine.distribution() not in (
        ("debian", "trixie"),
        ("debian", "forky"),
        ("debian", "sid"),
    ):
        return False
    _install("tools", packages.PACKAGES)
    return build_machine.has_tools()


def _install(what: str, names: List[str]) -> None:
    """On the build machine itself."""
    with lock.hold(f"installing {what}", "tools"), ui.step(f"installing {what} with apt-get") as shown:
        proc.run_logged(packages.CONFIGURE, "apt", shown)
        proc.run_logged(packages.apt_get("update"), "apt", shown, append=True, hint=proc.NETWORK)
        proc.run_logged(packages.install(*names), "apt", shown, append=True, hint=proc.NETWORK)
