# SPDX-License-Identifier: GPL-2.0
"""What this machine has, what is missing, and how to get it."""

import os
import shutil
import sys
import urllib.error
import urllib.request
from argparse import Namespace
from pathlib import Path
from typing import List

from ..base import aside, paths, proc, ui
from ..base.errors import KvmrsError
from ..build import guest_kernel, kernel, source, xen_shim
from ..machine import accel
from ..tools import bootstrap, build_machine, packages, toolroot
from ..tools.build_machine import Finding

INDENT = 9
"""Columns before what goes on from a line that is too long for the screen: those of ok and MISSING."""


def main(_: Namespace) -> int:
    """doctor: exit status 0 if `make demo` can work here."""
    needs = [
        build_machine.architecture(),
        _places(),
        _root(),
        _memory(),
        _disk(),
        *_tools(),
        _network(),
        *_trees(),
    ]
    for finding in [*needs, _accelerator(), _later()]:
        line = f"{'ok' if finding.ok else 'MISSING':8} {finding.name:13} {finding.text}"
        line += f"; {finding.hint}" if finding.hint else ""
        print(ui.for_screen(line, sys.stdout, INDENT))
    missing = [finding.name for finding in needs if not finding.ok]
    print(f"missing: {', '.join(missing)}" if missing else "make demo and make test can run here")
    return 1 if missing else 0


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", True, "yes")
    sudo = bool(shutil.which("sudo")) or build_machine.has_tools()
    return Finding(
        "root",
        sudo,
        "no, sudo is used where needed" if sudo else "no",
        "" if sudo else "run as root or install sudo",
    )


def _places() -> Finding:
    """Whether the kernel's make and the results can live where the checkout and the cache are."""
    try:
        paths.need_usable()
    except KvmrsError as error:
        return Finding("places", False, error.message, error.hint)
    return Finding("places", True, f"{paths.REPO}, {paths.cache()}")


def _memory() -> Finding:
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    text = f"{gigabytes:.1f} GB, {packages.MEMORY_GB} GB needed"
    beside = f"{aside.MEMORY / 1e9:.0f} GB let `make test` do two things at once"
    return Finding(
        "memory", gigabytes >= packages.MEMORY_GB, text, beside if not aside.possible() else ""
    )


def _disk() -> Finding:
    """A complete set-up needs no further space, whatever is left."""
    free = build_machine.free_bytes(paths.cache()) / 1e9
    done = bool(list(paths.cache().glob("linux-*/.kvm_rs-built")))
    need = 1 if done else packages.DISK_GB
    return Finding(
        "disk",
        free >= need,
        f"{free:.0f} GB free in {paths.cache()}, {need} GB needed",
        "" if free >= need else "free some, or set XDG_CACHE_HOME to a larger disk",
    )


def _tools() -> List[Finding]:
    """The build machine's tools one by one; a private root stands in for those that are missing."""
    findings = build_machine.tools()
    if all(finding.ok for finding in findings):
        return [*findings, Finding("tools", True, "this machine's own")]
    root = toolroot.default_root()
    if bootstrap.ready(root):
        return [*_stood_in(findings), Finding("tools", True, f"private Debian root {root}")]
    if shutil.which("debootstrap", path=build_machine.search_path()) or shutil.which("apt-get"):
        plan = "will be installed by the first command (3 GB)"
        return [*_stood_in(findings), Finding("tools", True, plan)]
    return [
        *findings,
        Finding("tools", False, "no debootstrap, no apt-get", "install debootstrap, or the tools above"),
    ]


def _stood_in(findings: List[Finding]) -> List[Finding]:
    """What this machine lacks is no obstacle where a private root has it."""
    return [
        item if item.ok else Finding(item.name, True, f"not on this machine ({item.text})", item.hint)
        for item in findings
    ]


def _network() -> Finding:
    """Only what is still to be fetched needs the network: apt's first mirror stands for it."""
    fetched = (paths.cache() / "source" / "version").exists() or any(
        os.environ.get(name) for name in ("KERNEL_SRC", "KERNEL_TARBALL")
    )
    if fetched and (build_machine.has_tools() or bootstrap.ready(toolroot.default_root())):
        return Finding("network", True, "not needed any more")
    uris = build_machine.output_of("apt-get", "indextargets", "--format", "$(REPO_URI)").splitlines()
    if not uris:
        return Finding("network", True, "not tried: apt has no mirror here")
    try:
        urllib.request.urlopen(uris[0], timeout=10).close()
    except urllib.error.HTTPError:
        pass  # a server answered: the network is there
    except OSError as error:
        return Finding(
            "network", False, f"{uris[0]}: {proc.reason_of(error)}", "connect it, or set http_proxy"
        )
    return Finding("network", True, f"{uris[0]} answers")


def _trees() -> List[Finding]:
    """KDIR=, KERNEL_SRC= and KERNEL_TARBALL=, where given."""
    found = []
    for name, look in {"KDIR": _kdir, **source.LOOKS}.items():
        given = os.environ.get(name)
        if not given:
            continue
        try:
            found.append(Finding(name, True, f"{given}: {look(Path(given).absolute())}"))
        except KvmrsError as error:
            found.append(Finding(name, False, error.message, error.hint))
    return found


def _kdir(tree: Path) -> str:
    problem = kernel.problem_of(tree)
    if problem:
        raise problem
    return "built, with the hooks"


def _later() -> Finding:
    """What commands fetch at their first use, over the network."""
    missing = [
        f"{feature} (for {users})"
        for feature, (program, users) in packages.LATER.items()
        if not toolroot.has(feature, program)
    ]
    missing += [] if (toolroot.crates() / "registry").exists() else ["crates (for demo and all tests)"]
    guest, shim = (paths.cache() / part.FOLDER for part in (guest_kernel, xen_shim))
    missing += [] if guest.exists() else ["a kernel for guests (for xen and test)"]
    missing += [] if shim.exists() else ["Xen's PV shim (for xen --guest)"]
    missing += [] if any(paths.cache().glob("mutants/*/bin")) else ["cargo-mutants (for mutants)"]
    return Finding("later", True, f"still to be fetched: {', '.join(missing)}" if missing else "nothing")


def _accelerator() -> Finding:
    chosen = accel.choose()
    return Finding("accelerator", True, f"{chosen.name}: {chosen.why}")
