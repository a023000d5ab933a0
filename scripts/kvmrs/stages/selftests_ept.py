# SPDX-License-Identifier: GPL-2.0
"""MMU selftests on EPT, the kernel's and the project's own, on C and on Rust, in each mode of an
Intel processor.

Three boots: with accessed/dirty bits and page modification logging, without accessed/dirty
bits (and so without that log, which needs them), and without the log alone.
"""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

from ..base import paths, ui
from ..build import kernel, kselftest, module
from ..machine import bochs, boot, kvm_modules, preload
from ..suite import ktap, own_tests, testlist
from ..suite.results import Suite, Summary
from ..tools import toolroot
from . import own_selftests

NAME = "selftests-ept"
FOLDER = paths.REPO / "selftests" / "ept"
LIST = FOLDER / "ept.toml"
MODES = {"ad+pml": "", "eptad=0": "eptad=0", "pml=0": "pml=0"}
"""What a row says -> parameters of kvm-intel.ko."""
FACTS = {"ad+pml": ("Y", "Y"), "eptad=0": ("N", "N"), "pml=0": ("Y", "N")}
"""What the machine must say of eptad and pml: an ignored parameter tests nothing."""

TIMEOUT = 60
HEARTBEAT = 5
"""Seconds of the machine's clock, which is slower than real time."""
BOOT_LIMIT = 900
SILENCE_LIMIT = 400
"""Seconds of real time: on a busy machine Bochs is slow, and that is no failure."""

INTERRUPTS = FOLDER / "take_interrupts.c"
"""Works around Bochs."""
OWN = ("nested_stale_mmio_test", "nested_map_test", "alloc_fail_test")
"""Programs of selftests/c that the list may name."""


@dataclass
class Options:
    """What of the list to run, and in which modes; everything, if nothing is said."""

    modes: List[str] = field(default_factory=lambda: list(MODES))
    only: List[str] = field(default_factory=list)
    backends: List[str] = field(default_factory=lambda: list(testlist.BACKENDS))


def run(options: Options) -> Summary:
    """Builds, boots once a mode, judges; out/selftests-ept-<mode>.json has every result."""
    kselftest.need(options.only, listed())
    bochs.ensure()
    tree = kernel.ensure()
    programs = kselftest.ensure(tree)
    own = own_tests.on_ept(LIST)
    known = [*programs.suite, *OWN]
    names = _names(known, options.only)
    tests = [
        *(testlist.select(known, names, TIMEOUT, None, True, LIST) if names else []),
        *(test for test in own if not options.only or test.name in options.only),
    ]
    files = {
        **programs.only(names),
        **preload.files(INTERRUPTS, preload.CHECK_TABLES),
        own_tests.INSIDE: own_tests.program(),
        own_tests.TOOL_INSIDE: own_tests.tool(),
        "/bin/bash": toolroot.file("/bin/bash"),
    }
    rust = module.ensure(tree) if "rust" in options.backends else None
    report = ktap.Report(len(options.modes) * len(options.backends) * len(tests))
    boots = [
        _Boot(Suite(f"{NAME}-{mode}", tests, options.backends, mode, report), tree, rust, files)
        for mode in options.modes
    ]
    return _close(boots, _run_all(boots))


def listed() -> List[str]:
    """What a run may name besides the kernel's other tests."""
    lists = testlist.read(LIST)
    return [*lists["test"], *OWN, *lists["own"]["tests"], own_tests.DIFFERENTIAL]


def _names(known: List[str], only: List[str]) -> List[str]:
    """Those that are programs of their own, out of `only` or of the list."""
    in_list = list(testlist.names_in(LIST, known))
    return [name for name in only if name in known] if only else in_list


def _run_all(boots: List["_Boot"]) -> List[boot.Ended]:
    """As many at once as there are processors: each emulator uses one."""
    ui.say_line("  accelerator: none (Bochs interprets an Intel processor)")
    processors = len(os.sched_getaffinity(0))
    with contextlib.ExitStack() as media, ThreadPoolExecutor(processors) as pool:
        settings = [media.enter_context(bochs.prepared(each.machine)) for each in boots]
        return list(pool.map(_Boot.run, boots, settings))


def _close(boots: List["_Boot"], ends: List[boot.Ended]) -> Summary:
    """What went wrong comes last, mode by mode."""
    return sum((each.suite.close(ended) for each, ended in zip(boots, ends)), Summary())


class _Boot:
    """One mode: every test on each backend."""

    talking = threading.Lock()

    def __init__(
        self, suite: Suite, tree: kernel.KernelTree, rust: Optional[Path], files: Dict[str, Path]
    ) -> None:
        self.suite = suite
        params = f"{bochs.VENDOR_PARAMS} {MODES[suite.mode]}".strip()
        modules = kvm_modules.Modules(tree, rust, vendor_params=params)
        job = {
            "modules": modules.job(),
            "settings": testlist.settings(LIST),
            "work": suite.work(HEARTBEAT),
        }
        self.machine = boot.Machine(
            suite.name,
            tree,
            {**modules.files(), **files},
            job,
            cmdline=own_selftests.CMDLINE,
            boot_limit=BOOT_LIMIT,
            silence_limit=SILENCE_LIMIT,
        )

    def run(self, settings: Path) -> boot.Ended:
        """In a thread of its own."""
        ended = bochs.run(self.machine, settings, self._on_event)
        found = ended.facts
        if found and (found.get("eptad"), found.get("pml")) != FACTS[self.suite.mode]:
            self.suite.failures.append(
                f"{self.suite.mode}: the machine is in another mode: {boot.describe(found)}"
            )
        return ended

    def _on_event(self, event: boot.Event) -> None:
        with self.talking:
            self.suite.on_event(event)
