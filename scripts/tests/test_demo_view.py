# SPDX-License-Identifier: GPL-2.0
"""The demo on narrow screens, on wide ones and without a terminal: no line is longer than the screen."""

import sys

from kvmrs.machine.terminal import Terminal

from .checkout import LIMIT, CheckoutTest

SHOW = """
from kvmrs.machine import accel, demo_view
facts = {"kernel": "7.3.4-kvm_rs", "cpus": "0-2", "memory_kb": "2000000", "npt": "Y", "tdp_mmu": "Y"}
view = demo_view.View(accel.Accelerator("tcg", "none"), "kvm_rs.ko, 400 KiB, commit 0123456789ab-dirty")
view.on_event({"ev": "ready", "facts": facts})
for phase in demo_view.PHASES:
    view.on_event({"ev": "phase", "phase": phase})
    view.on_event({"ev": "figures", "values": {key: 123456 for _, key in demo_view.COLUMNS}})
    view.on_event({"ev": "map", "moment": "before", "text": f"root\\n0x000040000000 {'M' * 64}\\n\\nM 2M dirty\\n"})
    view.on_event({"ev": "note", "line": "pages of 4K were mapped, and " * 5})
view.close()
"""


class DemoViewTest(CheckoutTest):
    """What is shown of made-up events."""

    def test_lines_fit(self) -> None:
        for columns, titles in (40, ["4K", "faults"]), (80, ["4K", "faults", "fixed", "fast"]):
            with self.subTest(columns=columns):
                done = self.run_python(SHOW, COLUMNS=str(columns))
                self.assertEqual(done.returncode, 0, done.stderr)
                for title in titles:
                    self.assertRegex(done.stdout, rf"(?m)^ .*\b{title}\b")
                for line in done.stdout.splitlines():
                    self.assertLessEqual(len(line), columns, line)
                self.assertNotIn("\033", done.stdout)
                between = "\n          " if columns == 40 else " "
                self.assertIn(
                    f"          the guest's memory before{between}dirty logging:\n", done.stdout
                )
                self.assertEqual("M" * 64 in done.stdout, columns == 80)
                self.assertEqual(done.stdout.count("M 2M dirty"), 1 if columns == 80 else 0)

    def test_on_a_screen(self) -> None:
        """The row that updates itself is erased, and the last one of a phase stays."""
        settings = [f"{name}={value}" for name, value in self.python_path().items()]
        for columns, figures in (40, 4), (80, 7):
            argv = ["env", "-u", "COLUMNS", *settings, sys.executable, "-P", "-c", SHOW]
            terminal = Terminal(argv, 24, columns)
            self.assertEqual(terminal.ended(LIMIT), 0, terminal.said)
            terminal.close()
            shown = [line.rpartition("\033[K")[2] for line in terminal.said.splitlines()]
            rows = [line.split() for line in shown if line.endswith("123456")]
            self.assertEqual([row[2:] for row in rows], [["123456"] * figures], terminal.said)
            self.assertEqual([line for line in shown if len(line) > columns], [])
