# SPDX-License-Identifier: GPL-2.0
"""The project's own selftests, those of selftests/rust and of selftests/c, in one boot; tests that
need another processor have one more.

They are judged like the kernel's: what passes on C must pass on Rust. Those that show bugs of the C
code (docs/upstream) are listed as failing there.
"""

from pathlib import Path
from typing import Dict, List

from ..build import kernel, kselftest, module
from ..machine import accel, boot, kvm_modules, preload
from ..suite import debug_list, ktap, own_tests
from ..suite.results import Result, Suite, Summary

NAME = "own-selftests"
CMDLINE = "hugepagesz=1G hugepages=1"
"""A page of 1G must be set aside while memory is still in one piece."""
HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
SETTINGS = [{"path": HUGE_PAGES, "value": "64"}]


def run(only: List[str], backends: List[str]) -> Summary:
    """Builds, boots, runs, judges; out/own-selftests.json has every result."""
    tree = kernel.ensure()
    program = own_tests.program()
    debug_list.check()
    known = [*own_tests.listed(program), *own_tests.C_TESTS]
    tests = own_tests.select(known, only, accel.emulated())
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    files = {**modules.files(), own_tests.INSIDE: program, **_c_programs(tree)}
    files |= {own_tests.TOOL_INSIDE: own_tests.tool(), **preload.files(preload.CHECK_TABLES)}
    report = ktap.Report(len(tests) * len(backends))
    total = Summary()
    rows: List[Result] = []
    for number, (cpu, group) in enumerate(_by_processor(tests).items()):
        suite = Suite(NAME, list(group), backends, f"-cpu {cpu}:" if cpu else "", report)
        job = {"modules": modules.job(), "settings": SETTINGS, "work": suite.work()}
        machine = boot.Machine(
            f"{NAME}-{number}" if number else NAME,
            tree,
            files,
            job,
            cmdline=CMDLINE,
            qemu=[*boot.NO_STRUCT_PAGES, *(("-cpu", cpu) if cpu else ())],
        )
        total += suite.close(boot.run(machine, suite.on_event), rows)
        rows += suite.rows()
    return total


def _by_processor(tests: List[own_tests.Test]) -> Dict[str, List[own_tests.Test]]:
    """The tests for each boot, those for the ordinary machine first."""
    groups: Dict[str, List[own_tests.Test]] = {}
    for test in sorted(tests, key=lambda test: test.cpu):
        groups.setdefault(test.cpu, []).append(test)
    return groups


def _c_programs(tree: kernel.KernelTree) -> Dict[str, Path]:
    programs = kselftest.ensure(tree).files()
    places = [f"{kselftest.INSIDE}/{test.name}" for test in own_tests.C_TESTS]
    return {place: programs[place] for place in places}
