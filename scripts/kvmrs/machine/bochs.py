# SPDX-License-Identifier: GPL-2.0
"""Boots a machine in Bochs: an Intel processor with VMX, EPT, accessed/dirty bits and PML.

Bochs interprets, and with sync=none its clock is its count of instructions: a run takes the
same virtual time on every machine, to the tick.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable, Iterator, List, Sequence

from ..base import paths, proc
from ..base.errors import KvmrsError
from ..build import crates
from ..tools import packages, toolroot
from . import boot, initramfs

IPS = 100_000_000
"""Instructions in a second of the machine's clock. The processor that Bochs describes to the
kernel claims a faster time stamp counter than that; the command line puts it right, or a
second of waiting would cost 1.5 thousand million instructions."""
CMDLINE = f"{boot.CMDLINE} nokaslr mitigations=off tsc_early_khz={IPS // 1000}"

VENDOR_PARAMS = "enable_apicv=0"
"""Bochs refuses KVM's posted-interrupt descriptor."""

SETTINGS = f"""\
log: {{log}}
display_library: rfb, options="timeout=0"
plugin_ctrl: speaker=false, sb16=false, usb_uhci=false
cpu: model=corei7_icelake_u, count=1, ips={IPS}, reset_on_triple_fault=0
memory: guest=3072, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0: enabled=1
ata0-master: type=cdrom, path={{medium}}, status=inserted
boot: cdrom
clock: sync=none, time0=local
panic: action=fatal
error: action=ignore
"""

GRUB = """\
set timeout=0
linux /boot/vmlinuz {cmdline}
initrd /boot/initrd
boot
"""
GRUB_MODULES = "iso9660 biosdisk normal linux"


def ensure() -> None:
    """Bochs and what makes a medium for it are there afterwards."""
    toolroot.add("bochs", "bochs-bin", packages.BOCHS)


@contextlib.contextmanager
def prepared(machine: boot.Machine) -> Iterator[Path]:
    """The settings of `machine`, with the medium that they name, for as long as they are needed.

    The machine has one processor and no share, shell or choice of memory.
    """
    with tempfile.TemporaryDirectory(dir=paths.logs()) as name:
        folder = Path(name)
        _make_medium(machine, folder)
        settings = folder / "settings"
        settings.write_text(
            SETTINGS.format(medium=folder / "medium", log=paths.logs() / f"{machine.name}-bochs.log")
        )
        yield settings


def run(machine: boot.Machine, settings: Path, on_event: Callable[[boot.Event], None]) -> boot.Ended:
    """boot.run() of a machine that was prepared."""
    # The display is a network port, which only its own empty network sees.
    alone = ["unshare", "-n" if os.geteuid() == 0 else "-rn"]
    command = [*alone, "bochs-bin", "-q", "-f", str(settings)]
    with boot.alone(machine):
        return boot.watch(machine, lambda lines: command + _serial_lines(lines), on_event)


def _serial_lines(pipes: Sequence[int]) -> List[str]:
    """The console and the events."""
    return [
        f"com{number}: enabled=1, mode=file, dev=/dev/fd/{pipe}" for number, pipe in enumerate(pipes, 1)
    ]


def _make_medium(machine: boot.Machine, folder: Path) -> None:
    """A CD-ROM with a boot loader: Bochs cannot be handed a kernel."""
    tree = folder / "tree"
    (tree / "boot" / "grub").mkdir(parents=True)
    initramfs.build(tree / "boot" / "initrd", machine.tree, crates.runner(), machine.files, machine.job)
    shutil.copy(machine.tree.bzimage, tree / "boot" / "vmlinuz")
    (tree / "boot" / "grub" / "grub.cfg").write_text(
        GRUB.format(cmdline=f"{CMDLINE} {machine.cmdline}".strip())
    )
    done = toolroot.run(
        ["grub-mkrescue", f"--install-modules={GRUB_MODULES}", "-o", str(folder / "medium"), str(tree)],
        capture_output=True,
    )
    if done.returncode != 0:
        raise KvmrsError("grub-mkrescue failed", proc.way_out(done.stderr), details=done.stderr)
    shutil.rmtree(tree)
