# SPDX-License-Identifier: GPL-2.0
"""The kernel's KVM selftests on C and on Rust in one boot.

    selftests [--only NAME[,NAME...]] [--backend c|rust] [--timeout SECONDS] [-- ARGUMENTS]

Every test that passes on C must pass on Rust, and the same tests must be skipped. A test
that fails on C too must be listed in selftests/kselftest.toml with the reason.
"""

import argparse
from dataclasses import dataclass
from typing import Dict, List, Optional

from . import boot, host_modules, kernel, kselftest, ktap, module, testlist, toolroot
from .suite import Suite, Summary

BACKENDS = ("c", "rust")
HEARTBEAT = 20


@dataclass
class Options:
    """What of the suite to run, and where."""

    only: List[str]
    backends: List[str]
    timeout: int
    args: Optional[List[str]]


def main(words: List[str]) -> int:
    summary = run(_options(words))
    ktap.closing(summary.passed, summary.failed, summary.skipped)
    return 1 if summary.failed else 0


def run(options: Options) -> Summary:
    """Builds, boots, runs, judges; out/selftests.json has every result."""
    tree = kernel.ensure()
    programs = kselftest.ensure(tree)
    tests = testlist.select(programs.suite, options.only, options.timeout, options.args)
    return boot_suite("selftests", tree, tests, options.backends, testlist.settings())


def boot_suite(
    name: str,
    tree: kernel.KernelTree,
    tests: List[testlist.Test],
    backends: List[str],
    settings: List[Dict[str, str]],
) -> Summary:
    """One boot that runs `tests` on each of `backends`; out/<name>.json has every result."""
    programs = kselftest.ensure(tree)
    modules = host_modules.Modules(tree, module.ensure(tree) if "rust" in backends else None)
    work = {"backends": backends, "heartbeat": HEARTBEAT, "tests": [test.job() for test in tests]}
    job = {"modules": modules.job(), "settings": settings, "work": {"suite": work}}
    files = {**modules.files(), **programs.files(), "/bin/bash": toolroot.file("/bin/bash")}
    suite = Suite(name, tests, backends)
    return suite.close(boot.run(boot.Machine(name, tree.bzimage, files, job), suite.on_event))


def default_options() -> Options:
    return _options([])


def _options(words: List[str]) -> Options:
    parser = argparse.ArgumentParser(prog="kvmrs selftests", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of tests, separated by commas")
    parser.add_argument("--backend", choices=BACKENDS, help="one backend instead of both")
    parser.add_argument("--timeout", type=int, default=testlist.TIMEOUT, help="seconds a test")
    parser.add_argument("args", nargs="*", help="arguments for the test, after --")
    given = parser.parse_args(words)
    only = [name for name in given.only.split(",") if name]
    backends = [given.backend] if given.backend else list(BACKENDS)
    return Options(only, backends, given.timeout, given.args or None)
