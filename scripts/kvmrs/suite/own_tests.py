# SPDX-License-Identifier: GPL-2.0
"""The project's own selftests: those in the program of selftests/rust, and some of selftests/c."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, TypeVar

from ..base import paths
from ..base.errors import KvmrsError
from ..build import crates
from . import testlist

CRATE = paths.REPO / "selftests" / "rust"
T = TypeVar("T", bound=testlist.Test)
INSIDE = "/tests/kvmrs-selftests"
TOOL_INSIDE = "/tests/kvmrs"
"""Of the tool, which tests of this program start."""


@dataclass
class Test(testlist.Test):
    """A mixed test makes VMs on both backends, whichever was chosen. One that needs a certain
    processor, for QEMU's -cpu, has a boot of its own."""

    mixed: bool = False
    cpu: str = ""

    def job(self) -> Dict[str, Any]:
        return {**super().job(), "mixed": self.mixed}


@dataclass
class RustTest(Test):
    """A test in the program of selftests/rust, or one of its commands, which `args` are then."""

    def job(self) -> Dict[str, Any]:
        return {**super().job(), "program": INSIDE, "args": self.args or [self.name]}


WIDE = "max,phys-bits=51,la57=off"
"""Page tables have four levels, and guest addresses are wider than what these translate."""


SAYS = {
    "01-stale-mmio": "read_in_l2(nested, false) == NEW_VALUE",
    "02-root-span": "header has another gfn",
    "03-prefault-ring": "!lost",
    "04-private-recovery": "!strstr(record",
    "05-nx-count": "split pages are left of one round",
    "06-flush-between-slots": "mmu_lock was given up, and a page that was zapped is in TLBs",
    "07-inactive-cache": "at __kvm_gpc_refresh",
    "08-cache-waits": "a refresh that waits cannot be killed",
    "09-runstate-twice": "KVM has counted time twice",
    "10-poll-holds-slots": "a guest that waits holds up changes of slots",
    "14-ring-slot-not-logged": "a reset has changed a slot that is not logged",
}
"""Report of docs/upstream -> a part of what its test says on C. With other words, it fails of something else."""


def _shows(report: str) -> Dict[str, Any]:
    """Of a test that shows a bug of the C code, which the report describes. On Rust it must pass."""
    if report not in SAYS:
        raise KvmrsError(f"report {report} is not in SAYS", "add what its test says on C")
    return {"fails": f"docs/upstream/{report}.md", "c_alone": True, "says": SAYS[report]}


def _upstream(name: str, report: str, cpu: str = "") -> Test:
    return Test(name, testlist.TIMEOUT, cpu=cpu, **_shows(report))


C_TESTS = [
    Test("mmu_backend_test", testlist.TIMEOUT, mixed=True),
    Test("huge_page_recovery_test", testlist.TIMEOUT),
    Test("nested_map_test", testlist.TIMEOUT),
    _upstream("nested_stale_mmio_test", "01-stale-mmio"),
    _upstream("root_span_test", "02-root-span", cpu=WIDE),
    _upstream("prefault_dirty_ring_test", "03-prefault-ring"),
    _upstream("private_recovery_test", "04-private-recovery"),
]
"""Of selftests/c; the other programs there have stages of their own."""


DECLARED = re.compile(r'\b(?:test|long|mixed|four_levels|reported)\(\s*(?:"\d[\w-]*",\s*)?"(\w+)"')
"""A test in the sources of selftests/rust, perhaps with the report before its name."""


def names() -> List[str]:
    """All of them, as the sources have them: nothing need be built."""
    sources = sorted((CRATE / "src" / "tests").glob("*.rs"))
    found = [name for source in sources for name in DECLARED.findall(source.read_text())]
    return [*found, *(test.name for test in C_TESTS)]


DIFFERENTIAL = "differential"
SHRINKING = 600
"""Seconds in which a history that shows a difference becomes a small one."""


def differential(seconds: int, seed: Optional[int] = None) -> RustTest:
    """Compares C with the backend of the run. With C itself, it shows how quiet the machine is."""
    words = ["differential", "--seconds", str(seconds)]
    words += ["--seed", str(seed)] if seed is not None else []
    return RustTest(DIFFERENTIAL, seconds + SHRINKING, words, mixed=True, shown=True)


def program() -> Path:
    """The program of selftests/rust."""
    return crates.static_program(CRATE, "kvmrs-selftests", "the project's own selftests")


def tool() -> Path:
    """The program of tools/kvmrs."""
    return crates.static_program(crates.TOOL, "kvmrs", "the tool kvmrs")


def listed(program: Path) -> List[Test]:
    """As the program lists them; it knows their names and what each needs."""
    done = subprocess.run([program, "--list"], text=True, capture_output=True)
    if done.returncode != 0:
        raise KvmrsError(done.stderr.strip() or f"{program.name} does not list its tests")
    tests: List[Test] = [_rust(**entry) for entry in json.loads(done.stdout)]
    unfound = {test.name for test in tests} - set(names())
    if unfound:
        raise KvmrsError(f"nobody finds {unfound.pop()} in {CRATE}", "declare it as others are")
    return tests


def _rust(report: str, four_levels: bool, **entry: Any) -> RustTest:
    shows = _shows(report) if report else {}
    return RustTest(**entry, **shows, cpu=WIDE if four_levels else "")


def on_ept(file: Path) -> List[Test]:
    """What a list for EPT names of the program's tests, and the comparison of C and Rust."""
    own = testlist.read(file)["own"]
    tests = select(listed(program()), own["tests"], emulated=True)
    return [*tests, differential(own["differential_seconds"], own["differential_seed"])]


def select(tests: Sequence[T], only: List[str], emulated: bool) -> List[T]:
    """The tests to run: all, or those named. An emulator has what each of them needs."""
    names = [test.name for test in tests]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise KvmrsError(f"no such selftest: {' '.join(unknown)}", f"there are: {' '.join(names)}")
    chosen = [test for test in tests if not only or test.name in only]
    if emulated:
        testlist.list_skips(chosen, {})
    return chosen
