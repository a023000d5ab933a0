# SPDX-License-Identifier: GPL-2.0
"""Runs one command inside the private Debian root.

Mounts live in a mount namespace of that one command and end with it: nothing stays mounted,
whatever happens.
"""

import os
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

from ..base import paths

# Mounts "$@" up to "--" into the root $1, then runs the rest there with $2 as directory.
ENTER = """
root=$1 cwd=$2; shift 2
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$1"; else : >>"$root$1"; fi
    mount --rbind "$1" "$root$1" || exit 1
    shift
done
shift
exec chroot "$root" env -i -C "$cwd" "$@"
"""

SYSTEM = ("/proc", "/sys", "/dev", "/tmp", "/etc/resolv.conf")
KEPT = ("TERM", "http_proxy", "https_proxy", "no_proxy")


def command(
    root: Path,
    argv: Sequence[str],
    cwd: Path,
    mounts: Sequence[Path] = (),
    env: Optional[Mapping[str, str]] = None,
) -> List[str]:
    """The command line that runs `argv` in `root`, with `mounts` at their own paths."""
    shown = [*(name for name in SYSTEM if os.path.exists(name)), *map(str, mounts)]
    values = [f"{name}={value}" for name, value in {**_environment(), **(env or {})}.items()]
    return [
        "unshare",
        "-m",
        "sh",
        "-c",
        ENTER,
        "enter",
        str(root),
        str(cwd),
        *shown,
        "--",
        *values,
        *argv,
    ]


def _environment() -> Dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "CARGO_HOME": str(paths.cache() / "cargo"),
        **kept,
    }
