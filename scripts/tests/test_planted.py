# SPDX-License-Identifier: GPL-2.0
"""Bugs in the module that debug kernels must report."""

import tempfile
import unittest
from pathlib import Path
from typing import List

from kvmrs.base import paths
from kvmrs.base.errors import KvmrsError
from kvmrs.build import planted
from kvmrs.machine import klog
from kvmrs.stages import debug_kernels
from kvmrs.suite import debug_list, testlist

WARNING = "WARNING: arch/x86/kvm/mmu/mmu.c:1 at f [kvm]"


class PlantedTest(unittest.TestCase):
    """Each flavor's."""

    def test_each_flavor_has_one_and_watches_the_module(self) -> None:
        for flavor in debug_list.flavors():
            with self.subTest(flavor=flavor):
                self.assertIn(flavor, debug_kernels.CANARIES)
                # A report that names no function of the module may be of anything.
                self.assertRegex(planted.says(flavor)[-1], r"page_fault.*\[kvm_rs\]$")
                self.assertEqual(debug_list.planted_bug(flavor).args[3:], planted.says(flavor))
                changed = [
                    name
                    for name, data in planted.sources(flavor).items()
                    if (paths.REPO / name).read_bytes() != data
                ]
                self.assertEqual(changed, ["rust/backend/ops/fault.rs"])

    def test_one_without_a_bug_is_an_error(self) -> None:
        with self.assertRaisesRegex(KvmrsError, "no bug is planted for base"):
            planted.says("base")

    def test_a_flavor_with_few_tests_has_it_too(self) -> None:
        tests = [testlist.Test(name, 10) for name in ("a", "b", klog.PLANTED)]
        chosen = debug_list.choose(tests, {"only": ["a"]}, emulated=False)
        self.assertEqual([test.name for test in chosen], ["a", klog.PLANTED])

    def reports(self, *lines: str) -> List[str]:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "console.log")
            log.write_text("\n".join(f"[    1.000000] {line}" for line in lines))
            return klog.scan(log).reports

    def test_a_planted_bug_excuses_itself_alone(self) -> None:
        start, end = f"kvmrs: start mixed {klog.PLANTED} x", f"kvmrs: end rust {klog.PLANTED}"
        for lines, wanted in (
            ([start, WARNING, end], 0),
            ([start, end, WARNING], 1),
            ([WARNING, start, end], 1),
            (["kvmrs: start mixed a_test planted", WARNING], 1),
        ):
            self.assertEqual(len(self.reports(*lines)), wanted, lines)


if __name__ == "__main__":
    unittest.main()
