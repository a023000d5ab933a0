# SPDX-License-Identifier: GPL-2.0
"""A mutant of the museum counts as killed if its test fails, and for the expected reason."""

from .checkout import CheckoutTest

VERDICTS = """
from pathlib import Path
from kvmrs.checks.museum_list import Mutant
from kvmrs.commands import museum
mutant = Mutant(Path("01-a-bug.patch"), "file", "a_test", "a flush was lost")
def verdict(code, text):
    print(*museum._verdict(mutant, code, text))
verdict(101, "test a_test ... FAILED\\nthread 'a_test' panicked at a.rs:1:2:\\na flush was lost: all\\n")
verdict(101, "test a_test ... FAILED\\nthread 'a_test' panicked at a.rs:1:2:\\nlate use\\n")
verdict(101, "test another ... FAILED\\ntest a_test ... ok\\n")
verdict(0, "test a_test ... ok\\n")
"""


class MuseumTest(CheckoutTest):
    """Made-up outcomes of a test."""

    def test_the_reason_counts(self) -> None:
        done = self.run_python(VERDICTS)
        self.assertEqual(
            done.stdout.splitlines(),
            [
                "True a flush was lost: all",
                "False not 'a flush was lost', but: late use",
                "False a_test died (exit 101)",
                "False a_test passes",
            ],
            done.stderr,
        )
