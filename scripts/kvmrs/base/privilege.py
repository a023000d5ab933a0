# SPDX-License-Identifier: GPL-2.0
"""Root only where it is needed, and what root made for a user goes back to that user."""

import os
import shutil
import sys
from pathlib import Path

from . import paths
from .errors import KvmrsError

SETTINGS = (
    "XDG_CACHE_HOME",
    "KDIR",
    "KERNEL_SRC",
    "KERNEL_TARBALL",
    "INSTALL_MOD_PATH",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "TERM",
)


def become_root(why: str) -> None:
    """Starts this same command again through sudo, unless it runs as root already.

    Every step is resumable, so that starting again costs nothing.
    """
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise KvmrsError(f"{why} needs root", "run make as root, or install sudo")
    print(f"  {why} needs root: going on through sudo", flush=True)
    kept = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    kept["XDG_CACHE_HOME"] = str(paths.cache().parent)
    kept["PYTHONPATH"] = str(paths.REPO / "scripts")
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    settings = [f"{name}={value}" for name, value in kept.items()]
    os.execvp("sudo", ["sudo", "env", *settings, sys.executable, "-P", "-m", "kvmrs", *sys.argv[1:]])


def give_back(path: Path) -> None:
    """Hands `path` to the user behind sudo, if there is one."""
    uid, gid = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() != 0 or uid is None or gid is None or not path.exists():
        return
    for folder, _, files in os.walk(path):
        for name in [folder, *(os.path.join(folder, file) for file in files)]:
            os.chown(name, int(uid), int(gid), follow_symlinks=False)
