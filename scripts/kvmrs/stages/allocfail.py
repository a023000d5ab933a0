# SPDX-License-Identifier: GPL-2.0
"""Allocations of page tables that fail, on C and on Rust: the VM goes on, nothing leaks.

The program alloc_fail_test fails every allocation of an operation in turn; here is the
kernel's side of it: which allocations may fail at all, and that it is silent about them.
"""

from typing import Dict, List

from ..build import kernel
from ..suite import kernel_tests, testlist
from ..suite.results import Summary

DEBUGFS = "/sys/kernel/debug"
SETTINGS = {
    "failslab/ignore-gfp-wait": "N",
    "failslab/verbose": "0",
    "fail_page_alloc/ignore-gfp-wait": "N",
    "fail_page_alloc/min-order": "0",
    "fail_page_alloc/verbose": "0",
}


def run(backends: List[str]) -> Summary:
    tests = [testlist.Test("alloc_fail_test", 2 * testlist.TIMEOUT)]
    settings = [*testlist.settings(), *_settings()]
    return kernel_tests.run("allocfail", kernel.ensure(), tests, backends, settings)


def _settings() -> List[Dict[str, str]]:
    return [{"path": f"{DEBUGFS}/{name}", "value": value} for name, value in SETTINGS.items()]
