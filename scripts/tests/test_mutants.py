# SPDX-License-Identifier: GPL-2.0
"""An explained survivor excuses one mutation, wherever its line is. Tests end when one has failed."""

from .checkout import CheckoutTest

SURVIVORS = r"""
from kvmrs.base import paths
from kvmrs.commands import mutants
file = paths.REPO / "tdp_mmu" / "made_up.rs"
file.parent.mkdir(exist_ok=True)
file.write_text("fn f() {\n    let x = a | b | c;\n    let y = a | b | c;\n}\n")
missed = paths.out() / "mutants.out" / "missed.txt"
missed.parent.mkdir(parents=True)
names = [f"{line}:{column}: replace | with ^ in f" for line in (2, 3) for column in (15, 19)]
missed.write_text("".join(f"model/src/tdp_mmu/made_up.rs:{name}\n" for name in names))
found = list(mutants._survivors())
rows = [mutants._row(number, survivor) for number, survivor in found]
print(rows[0])
moved = rows[0].replace(".rs:2:", ".rs:70:")
explained = set(mutants._explained("\n".join(["| where |", moved, rows[3]])))
print([survivor in explained for _, survivor in found])
kinds = r"| tdp_mmu/made_up.rs | | `replace \| with ^` | all |"
print([survivor.kind() in set(mutants._explained(kinds)) for _, survivor in found])
rewritten = found[0][1]._replace(line="let x = a | b;")
elsewhere = rewritten._replace(file="tdp_mmu/nowhere.rs")
print([mutants._is_there(row) for row in (found[0][1], rewritten, elsewhere)])
"""

ENDED = r"""
import sys
from kvmrs.build import until_failure
for tests in (
    "print('test a ... ok')",
    "import time; print('test b ... FAILED', flush=True); time.sleep(1000)",
    "while True: pass",
):
    print(until_failure.main([sys.executable, "-c", tests], cpu=1))
"""


class MutantsTest(CheckoutTest):
    """Made-up survivors, and made-up tests."""

    def test_a_row_excuses_one_while_its_line_is_there(self) -> None:
        done = self.run_python(SURVIVORS)
        row = r"| tdp_mmu/made_up.rs:2:15 | `let x = a \| b \| c;` | `replace \| with ^ in f` | why? |"
        said = [row, "[True, False, False, True]", str([True] * 4), "[True, False, False]"]
        self.assertEqual(done.stdout.splitlines(), said, done.stderr)

    def test_tests_end_when_one_has_failed_or_hangs(self) -> None:
        done = self.run_python(ENDED)
        said = ["test a ... ok", "0", "test b ... FAILED", "1", "1"]
        self.assertEqual(done.stdout.splitlines(), said, done.stderr)
