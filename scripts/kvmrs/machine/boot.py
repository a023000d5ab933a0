# SPDX-License-Identifier: GPL-2.0
"""Boots the kernel under QEMU with a job, and watches a machine to its end mark.

Two serial lines leave the machine: the kernel's console, saved to out/logs, and the
runner's events, one JSON object a line. Only the runner's last event is success; a panic,
an emulator that ends early and a machine that falls silent are failures with the console's tail.
A silent machine gets an NMI first, so that its kernel writes down where everybody is.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Mapping, Sequence

from ..base import lock, paths, ui
from ..base.errors import KvmrsError
from ..build import crates
from ..build.kernel import KernelTree
from ..tools import toolroot
from . import accel, initramfs, klog

Event = Dict[str, Any]
TAIL = 30
PANIC = "Kernel panic - not syncing"
ACCELERATORS = {
    "kvm": ["-accel", "kvm", "-cpu", "host"],
    "tcg": ["-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "pit=off"],
    "icount": ["-accel", "tcg,thread=single", "-cpu", "max", "-icount", "shift=0,sleep=off"],
}
"""On a busy machine an emulated kernel measures its clock by the PIT wrongly, and then all time-outs
are over several times too soon. Where there is no PIT it takes the HPET: 13 % fast was the
worst that was seen."""
FIRST_CPU_UNUSED = "isolcpus=0"
"""QEMU's emulator now and then mixes up host and guest on its first CPU (docs/emulators.md). Emulated
machines have one CPU more, and programs get the others."""
SHARE_TAG = "tools"
CMDLINE = (
    "console=ttyS0 loglevel=7 panic=-1 tsc=reliable oops=panic softlockup_panic=0"
    " unknown_nmi_panic panic_sys_info=tasks,all_bt no_timer_check"
)
"""Without no_timer_check an emulator that gets no processor time during the check does not boot."""
NO_STRUCT_PAGES = (
    *("-object", "memory-backend-ram,id=shared,size=1M,share=on"),
    *("-device", "ivshmem-plain,memdev=shared"),
)
"""For QEMU: a device with memory, which no driver uses."""
NMI = b"nmi\n"
LAST_WORDS = 20
"""Seconds that a kernel gets to write down where it hangs."""


@dataclass
class Machine:
    """What to boot. `files` maps names in the initramfs to files outside."""

    name: str
    tree: KernelTree
    files: Mapping[str, Path]
    job: Mapping[str, Any]
    memory: str = "6G"
    cpus: int = 2
    cmdline: str = ""
    qemu: Sequence[str] = ()
    share: bool = False
    shell: bool = False
    counted: bool = False
    """The machine's clock counts instructions, a nanosecond each; one processor only."""
    boot_limit: float = 180
    """Seconds until the runner must be ready."""
    silence_limit: float = 90
    """Seconds between two events, heartbeats included."""


@dataclass
class Ended:
    """How a boot ended. `problem` is empty only if the end mark came."""

    log: Path
    problem: str
    tail: str
    facts: Dict[str, str]
    seconds: float
    verdict: klog.Verdict = field(default_factory=klog.Verdict)

    def demand_success(self) -> None:
        """Fails unless the end mark came and the kernel log is clean."""
        where = f"the console is in {self.log.relative_to(paths.REPO)}"
        if self.problem:
            raise KvmrsError(self.problem, where, details=self.tail)
        if not self.verdict.clean:
            raise KvmrsError(
                "the host's kernel log is not clean", where, details="\n".join(self.verdict.reports)
            )

    def complaints(self) -> List[str]:
        """Everything for which the boot itself fails a run."""
        boot = [f"boot: {self.problem}"] if self.problem else []
        return boot + [f"kernel log: {line}" for line in self.verdict.reports]

    def remarks(self) -> List[str]:
        """What a person wants to know besides: allowed reports, the tail of a dead console."""
        tail = [f"  {line}" for line in self.tail.splitlines()] if self.problem else []
        return klog.show_allowed(self.verdict) + tail


def describe(facts: Mapping[str, str]) -> str:
    """The machine in one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def run(machine: Machine, on_event: Callable[[Event], None]) -> Ended:
    """Boots `machine` and hands every event to `on_event`, until it is off again."""
    chosen = accel.COUNTING if machine.counted else accel.choose()
    ui.say_line(f"  accelerator: {chosen.name} ({chosen.why})")
    runner = crates.runner()
    with alone(machine):
        image = paths.logs() / f"{machine.name}.cpio"
        initramfs.build(image, machine.tree, runner, machine.files, machine.job)
        arguments = _arguments(machine, chosen, image)
        try:
            return watch(
                machine, lambda lines: arguments + _serial_lines(lines, machine.shell), on_event
            )
        finally:
            image.unlink()


def alone(machine: Machine) -> ContextManager[None]:
    """No other run in this checkout boots a machine of this name meanwhile: its files have that name."""
    return lock.hold(f"booting {machine.name} in {paths.REPO}", paths.of_checkout(machine.name).name)


def watch(
    machine: Machine, command: Callable[[Sequence[int]], List[str]], on_event: Callable[[Event], None]
) -> Ended:
    """Runs an emulator to its end. `command` gets the pipes for the two serial lines."""
    return _Watch(machine, on_event).run(command)


def _arguments(machine: Machine, chosen: accel.Accelerator, image: Path) -> List[str]:
    """QEMU without its serial lines."""
    unused = 1 if chosen.name == "tcg" else 0
    cmdline = [CMDLINE, *([FIRST_CPU_UNUSED] if unused else []), machine.cmdline]
    command = [
        "qemu-system-x86_64",
        *ACCELERATORS[chosen.name],
        "-smp",
        str(machine.cpus + unused),
        "-m",
        machine.memory,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        *([] if machine.shell else ["-monitor", "stdio"]),
        "-kernel",
        str(machine.tree.bzimage),
        "-initrd",
        str(image),
        "-append",
        " ".join(cmdline).strip(),
        *machine.qemu,
    ]
    if machine.share:
        command += [
            "-fsdev",
            "local,id=tools,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device",
            f"virtio-9p-pci,fsdev=tools,mount_tag={SHARE_TAG}",
        ]
    return command


class _Watch:
    """One running emulator and what it has said so far."""

    def __init__(self, machine: Machine, on_event: Callable[[Event], None]) -> None:
        self.machine = machine
        self.on_event = on_event
        self.log = paths.logs() / f"{machine.name}-console.log"
        self.facts: Dict[str, str] = {}
        self.fatal = ""
        self.panicked = False
        self.ended = False
        self.partial = b""
        self.spoken = time.monotonic()

    def run(self, command: Callable[[Sequence[int]], List[str]]) -> Ended:
        start = time.monotonic()
        console, console_end = os.pipe()
        events, events_end = os.pipe()
        lines = (console_end, events_end)
        child = toolroot.popen(
            command(lines),
            pass_fds=lines,
            stdin=None if self.machine.shell else subprocess.PIPE,
            stdout=None if self.machine.shell else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        os.close(console_end)
        os.close(events_end)
        try:
            with open(self.log, "wb", buffering=0) as log:
                problem = self._follow(child, console, events, log)
        finally:
            words = _stop(child)
            os.close(console)
            os.close(events)
        return Ended(
            self.log,
            problem or self._why(words),
            self._tail(),
            self.facts,
            time.monotonic() - start,
            klog.scan(self.log),
        )

    def _follow(self, child: "subprocess.Popen[bytes]", console: int, events: int, log: Any) -> str:
        """Reads both lines until both are closed; returns what went wrong meanwhile."""
        selector = selectors.DefaultSelector()
        readers: Dict[int, Callable[[bytes], None]] = {
            console: lambda data: self._on_console(data, log),
            events: self._on_events,
        }
        for line in readers:
            selector.register(line, selectors.EVENT_READ)
        late, end = "", float("inf")
        while selector.get_map():
            for key, _ in selector.select(timeout=1):
                data = os.read(key.fd, 65536)
                if data:
                    readers[key.fd](data)
                else:
                    selector.unregister(key.fd)
            if not late and self._late():
                late, end = self._late(), time.monotonic() + LAST_WORDS
                _interrupt(child)
            if time.monotonic() > end:
                child.send_signal(signal.SIGKILL)
                break
        return late

    def _late(self) -> str:
        """A machine that says nothing for too long hangs."""
        if self.machine.shell and self.facts:
            return ""
        limit = self.machine.silence_limit if self.facts else self.machine.boot_limit
        if time.monotonic() - self.spoken < limit:
            return ""
        what = "hangs: nothing heard" if self.facts else "does not boot: not ready"
        return f"the test machine {what} for {limit:.0f} s"

    def _on_console(self, data: bytes, log: Any) -> None:
        log.write(data.replace(b"\r", b""))
        self.panicked = self.panicked or PANIC.encode() in data

    def _on_events(self, data: bytes) -> None:
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            self.spoken = time.monotonic()
            self._on_event(json.loads(line))

    def _on_event(self, event: Event) -> None:
        if event["ev"] == "ready":
            self.facts = event["facts"]
        elif event["ev"] == "fatal":
            self.fatal = event["reason"]
        elif event["ev"] == "end":
            self.ended = True
        self.on_event(event)

    def _why(self, words: str) -> str:
        """Why a machine that is off did not succeed; empty if it did."""
        last = next((line for line in reversed(words.splitlines()) if line.strip("= ")), "")
        if self.panicked:
            return "the host kernel panicked"
        if self.fatal:
            return f"the test machine could not go on: {self.fatal}"
        if not self.ended:
            return f"the emulator ended before the end mark{': ' + last if last else ''}"
        return ""

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL:])


def _serial_lines(pipes: Sequence[int], shell: bool) -> List[str]:
    """The console, the events and, for a person, a third line on this terminal."""
    command: List[str] = []
    for number, pipe in enumerate(pipes, 1):
        command += [
            "-chardev",
            f"file,id=line{number},path=/dev/fd/{pipe}",
            "-serial",
            f"chardev:line{number}",
        ]
    if shell:
        command += ["-chardev", "stdio,id=shell,signal=off", "-serial", "chardev:shell"]
    return command


def _interrupt(child: "subprocess.Popen[bytes]") -> None:
    """Sends an NMI by way of QEMU's monitor. Bochs has none, and does not listen."""
    if child.stdin:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(NMI)
            child.stdin.flush()


def _stop(child: "subprocess.Popen[bytes]") -> str:
    """Ends the emulator if it still runs; its last words."""
    if child.poll() is None:
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
    _, errors = child.communicate()
    return (errors or b"").decode(errors="replace").strip()
