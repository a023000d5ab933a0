# SPDX-License-Identifier: GPL-2.0
"""A Linux guest on the Rust TDP MMU, in front of a person.

    demo [--xen]

Boots the patched host, loads kvm_rs.ko into it, and boots an unmodified Linux guest there with
an unmodified QEMU. KVM's own figures of the guest's VM are shown while it works, while the host
takes its pages away and gives it others, while dirty logging splits its huge pages and gives them
back, and until nothing of it is left. Then a vCPU faults while the dirty log of its VM is harvested, on C
and on Rust. With --xen, it is a guest that takes the host for Xen, and says what it got.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Dict, List

from ..base import paths, ui
from ..build import kernel, module
from ..machine import accel, boot, demo_view, kvm_modules
from ..stages import linux_guest, xen
from ..suite import own_tests
from ..tools import build_machine

CMDLINE = "numa=fake=2 numa_balancing=disable"
"""Two nodes for the guest's memory, which goes from one to the other when the demo says so."""
QEMU = "/usr/bin/qemu-system-x86_64"
QMP = "/tmp/qmp"
DISK = "/tmp/disk"
DISK_MIB = 320
GUEST_MIB = 512
ROUNDS = 1
CYCLES = 2
LIMIT = 90
"""Seconds that any one thing may take, on a slow and busy machine."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--xen", action="store_true", help="a guest that was made for Xen")


def main(options: Namespace) -> int:
    return xen.run(["rust"]).close() if options.xen else _demo()


def _demo() -> int:
    tree = kernel.ensure()
    rust = module.ensure(tree)
    modules = kvm_modules.Modules(tree, rust)
    files = {**modules.files(), "/guest/bzImage": tree.bzimage, "/guest/initrd": linux_guest.image(tree)}
    files[own_tests.TOOL_INSIDE] = own_tests.tool()
    job = {"modules": modules.job(load_rust=False), "share": boot.SHARE_TAG, "work": {"demo": _work()}}
    machine = boot.Machine("demo", tree, files, job, memory="3G", cmdline=CMDLINE, share=True)
    view = demo_view.View(accel.choose(), _identity(rust))

    def on_event(event: boot.Event) -> None:
        if event["ev"] == "map":
            _picture(event["moment"]).write_text(event["picture"])
        view.on_event(event)

    ended = boot.run(machine, on_event)
    view.close()
    ended.demand_success()
    ui.say("")
    pictures = " ".join(str(_picture(moment).relative_to(paths.REPO)) for moment in demo_view.MOMENTS)
    ui.say_wrapped("", f"The maps as pictures: {pictures}")
    ui.say_wrapped("", f"The host's kernel log is clean. All of this took {ui.clock(ended.seconds)}.")
    return 0


def _picture(moment: str) -> Path:
    """What the guest had mapped then."""
    return paths.out() / f"demo-{moment}.svg"


def _identity(rust: Path) -> str:
    """Which kvm_rs.ko this is: its size, and the commit where there is one."""
    commit = build_machine.output_of(
        "git", "-C", str(paths.REPO), "describe", "--always", "--dirty"
    ).strip()
    return f"kvm_rs.ko, {rust.stat().st_size >> 10} KiB" + (f", commit {commit}" if commit else "")


def _work() -> Dict[str, Any]:
    """As the runner reads it."""
    argv = [
        QEMU,
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-smp",
        "2",
        "-m",
        str(GUEST_MIB),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-kernel",
        "/tmp/bzImage",
        "-initrd",
        "/tmp/initrd",
        "-append",
        "console=ttyS0 quiet panic=-1",
        "-drive",
        f"file={DISK},format=raw,if=virtio",
        "-serial",
        "stdio",
        "-qmp",
        f"unix:{QMP},server=on,wait=off",
    ]
    return {
        "module": f"{kvm_modules.INSIDE}/kvm_rs.ko",
        "name": "kvm_rs",
        "files": ["/guest/bzImage", "/guest/initrd"],
        "disk": DISK,
        "disk_size": DISK_MIB << 20,
        "argv": argv,
        "qmp": QMP,
        "tool": own_tests.TOOL_INSIDE,
        "rounds": ROUNDS,
        "cycles": CYCLES,
        "limit": LIMIT,
    }
