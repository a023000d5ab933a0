# SPDX-License-Identifier: GPL-2.0
"""Makes the private Debian root. Each stage leaves a stamp: an interrupted set-up goes on.

No mirror is named: debootstrap has its own default, and writes it into the new root. It is
preferred to mmdebstrap, which also has a default, because it needs neither apt nor Debian's
keys on the build machine, and because one mmdebstrap run would replace stages that can go on
after an interruption.
"""

import os
import shutil
from pathlib import Path
from typing import Callable, List, Tuple

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from . import enter, packages
from .build_machine import need_space, output_of


def ensure(root: Path) -> None:
    """`root` has every package of the list; only the missing stages run."""
    if _stamp(root, "ready").exists():
        return
    with lock.hold("setting up the tools", "tools"):
        for name, stage in STAGES:
            if not _stamp(root, name).exists():
                stage(root)
                _stamp(root, name).touch()


def add(root: Path, feature: str, names: List[str]) -> None:
    """Packages that one command alone needs; the root and what was built with it stay."""
    stamp = _stamp(root, feature)
    if stamp.exists():
        return
    with lock.hold(f"installing {feature}", "tools"), ui.step(f"tools: {feature}") as shown:
        _in(root, packages.CONFIGURE, shown)
        _in(root, packages.apt_get("update", "--error-on=any"), shown)
        _in(root, packages.install(*names), shown)
        _in(root, packages.apt_get("clean"), shown)
        stamp.touch()


def has(root: Path, feature: str) -> bool:
    return _stamp(root, feature).exists()


def ready(root: Path) -> bool:
    return _stamp(root, "ready").exists()


def _base(root: Path) -> None:
    """The smallest Debian. debootstrap cannot resume, but finds its downloads again."""
    need_space(paths.cache(), packages.DISK_GB, "the whole set-up")
    _need_debootstrap()
    shutil.rmtree(root, ignore_errors=True)
    downloads = paths.cache() / "debs"
    downloads.mkdir(exist_ok=True)
    with ui.step(f"tools 1/3: a private Debian {packages.SUITE} root") as shown:
        proc.run_logged(
            ["debootstrap", "--variant=minbase", f"--cache-dir={downloads}", packages.SUITE, str(root)],
            "debootstrap",
            shown,
            hint=proc.NETWORK,
            env={**os.environ, "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
        )


def _settings(root: Path) -> None:
    """Downloads are kept for a resumed run; services never start in here."""
    apt = root / "etc/apt/apt.conf.d"
    (apt / "90kvm_rs").write_text(
        'Binary::apt-get::APT::Keep-Downloaded-Packages "true";\n'
        'Dpkg::Options { "--force-unsafe-io"; };\n' + _apt_settings()
    )
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def _update(root: Path) -> None:
    with ui.step("tools 2/3: package lists") as shown:
        _in(root, packages.apt_get("update", "--error-on=any"), shown)


def _packages(root: Path) -> None:
    with ui.step(f"tools 3/3: compilers, QEMU, libraries ({len(packages.PACKAGES)} packages)") as shown:
        _in(root, packages.CONFIGURE, shown)
        _in(root, packages.install(*packages.PACKAGES), shown)
        _in(root, packages.apt_get("clean"), shown)


def _done(root: Path) -> None:
    """Whoever sees this stage's stamp may use the root without the lock."""
    shutil.rmtree(paths.cache() / "debs", ignore_errors=True)


STAGES: List[Tuple[str, Callable[[Path], None]]] = [
    ("base", _base),
    ("settings", _settings),
    ("update", _update),
    ("packages", _packages),
    ("ready", _done),
]


def _apt_settings() -> str:
    """The build machine's proxy and clock settings for apt: the root is on the same network."""
    wanted = (
        "Acquire::http::Proxy",
        "Acquire::https::Proxy",
        "Acquire::Check-Valid-Until",
        "Acquire::Check-Date",
    )
    lines = output_of("apt-config", "dump").splitlines()
    return "".join(line + "\n" for line in lines if line.split(" ")[0] in wanted)


def _need_debootstrap() -> None:
    if shutil.which("debootstrap", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        return
    if not shutil.which("apt-get"):
        raise KvmrsError(
            "debootstrap is missing and there is no apt-get to install it with",
            "install debootstrap, or the tools that `make doctor` lists",
        )
    with ui.step("installing debootstrap") as shown:
        proc.run_logged(packages.apt_get("update"), "apt", shown, hint=proc.NETWORK)
        proc.run_logged(packages.install("debootstrap"), "apt", shown, append=True, hint=proc.NETWORK)


def _in(root: Path, argv: List[str], shown: ui.step) -> None:
    proc.run_logged(enter.command(root, argv, Path("/")), "tools", shown, append=True, hint=proc.NETWORK)


def _stamp(root: Path, stage: str) -> Path:
    return root / f".kvm_rs-{stage}"
