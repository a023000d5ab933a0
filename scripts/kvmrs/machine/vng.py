# SPDX-License-Identifier: GPL-2.0
"""Boots the kernel under test with virtme-ng, on the root file system that virtme-ng runs on.

The guest sees that file system read-only, and with it the checkout and the cache at their own paths.
So the modules are loaded from where they were built. base.config has 9p and no virtio-fs, no
overlayfs: directories cannot be made writable, except that /run and /dev/shm are anyway.
"""

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, List, Mapping, Sequence

from ..base import paths, ui
from ..tools import packages, toolroot
from . import accel, boot
from .kvm_modules import Modules

CACHED = "rootflags=version=9p2000.L,trans=virtio,access=any,cache=loose,msize=512000"
"""Without a cache, the guest's init takes twice as long."""
OPTIONS = ("--force-9p", "--disable-microvm", "--memory", "2G", "--append", CACHED)
EMULATED = ("--disable-kvm", "--qemu-opts=-cpu max")
CPUS = 2
LIMIT = 900
"""Seconds for a boot with its command. In an emulator the guest's init alone takes minutes."""
OVER = 124
"""As timeout says it."""


def ensure() -> None:
    """virtme-ng is there afterwards: this machine's own, or the tools'."""
    if not shutil.which("vng"):
        toolroot.add("vng", "vng", packages.VNG)


def load(modules: Modules) -> str:
    """Shell commands for the guest: they load KVM and kvm_rs, and have new VMs use kvm_rs."""
    lines = ["set -e"]
    for module, (inside, outside) in zip(modules.job(), modules.files().items()):
        assert module["path"] == inside
        load_it = f"insmod {outside} {module['params']}".strip()
        flag = module.get("cpu_flag")
        lines.append(f"if grep -qw {flag} /proc/cpuinfo; then {load_it}; fi" if flag else load_it)
    lines += ["echo rust >/sys/module/kvm/parameters/mmu_backend", "set +e"]
    return "\n".join(lines) + "\n"


def command(modules: Modules) -> List[str]:
    """The command line that boots to a shell."""
    chosen = accel.choose()
    unused = 1 if chosen.name == "tcg" else 0
    words = ["vng", "--run", str(modules.tree.bzimage), *OPTIONS, "--cpus", str(CPUS + unused)]
    if chosen.name == "tcg":
        words += [*EMULATED, "--append", boot.FIRST_CPU_UNUSED]
    return words


def run(
    modules: Modules, given: str, limit: int = 0, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Runs `given` in the guest; the exit code is its own, or OVER after `limit` seconds.

    It goes into a file: virtme-ng puts commands into the kernel's command line, which is short.
    """
    with tempfile.TemporaryDirectory(dir=paths.out(), prefix="vng-") as folder:
        script = Path(folder, "run")
        script.write_text(load(modules) + given + "\n")
        # It ends all that virtme-ng has started, and nothing else.
        limited = ["timeout", "-k", "5", str(limit)] if limit else []
        return _run([*limited, *command(modules), "--", f"sh {shlex.quote(str(script))}"], options)


def shell(modules: Modules) -> int:
    """A shell in the guest, until it is left."""
    with tempfile.TemporaryDirectory(dir=paths.out(), prefix="vng-") as folder:
        script = Path(folder, "load")
        script.write_text(load(modules))
        ui.say(f"  in there, this loads kvm_rs: sh {script}")
        return _run(command(modules), {}).returncode


def _run(words: Sequence[str], options: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
    if shutil.which("vng"):
        return subprocess.run(words, cwd=paths.REPO, text=True, **options)
    return toolroot.run(words, **options)
