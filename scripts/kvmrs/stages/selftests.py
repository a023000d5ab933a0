# SPDX-License-Identifier: GPL-2.0
"""The kernel's KVM selftests on C and on Rust in one boot.

Every test that passes on C must pass on Rust, and the same tests must be skipped. A test
that fails on C too must be listed in selftests/kselftest.toml with the reason.
"""

from dataclasses import dataclass, field
from typing import List, Optional

from ..build import kernel, kselftest
from ..machine import accel
from ..suite import kernel_tests, testlist
from ..suite.results import Summary


@dataclass
class Options:
    """What of the suite to run, and where; everything, if nothing is said."""

    only: List[str] = field(default_factory=list)
    backends: List[str] = field(default_factory=lambda: list(testlist.BACKENDS))
    timeout: int = testlist.TIMEOUT
    args: Optional[List[str]] = None


def run(options: Options) -> Summary:
    """Builds, boots, runs, judges; out/selftests.json has every result."""
    kselftest.need(options.only)
    tree = kernel.ensure()
    suite = kselftest.ensure(tree).suite
    tests = testlist.select(suite, options.only, options.timeout, options.args, accel.emulated())
    return kernel_tests.run("selftests", tree, tests, options.backends, testlist.settings())
