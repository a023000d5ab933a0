# SPDX-License-Identifier: GPL-2.0
"""What is said of mutants: by tests, by the compiler, by earlier runs, and by the document."""

from .checkout import CheckoutTest

SURVIVORS = r"""
from kvmrs.base import paths
from kvmrs.stages import mutant_table
from kvmrs.stages.cargo_mutants import Mutant
file = paths.REPO / "tdp_mmu" / "made_up.rs"
file.parent.mkdir(exist_ok=True)
file.write_text("fn f() {\n    let x = a | b | c;\n    let y = a | b | c;\n}\n")
mutants = [
    Mutant(0, f"model/src/tdp_mmu/made_up.rs:{line}:{column}: replace | with ^ in f", "", "",
           {"start": {"line": line, "column": column}}, "^")
    for line in (2, 3) for column in (15, 19)
]
rows = mutant_table.complaints(mutants, mutants, "")
print(*rows[:2], sep="\n")
moved = [rows[1].replace(".rs:2:", ".rs:70:"), rows[4]]
print(mutant_table.complaints(mutants, mutants, "\n".join(["| where |", *moved]))[1:] == rows[2:4])
kinds = r"| tdp_mmu/made_up.rs | | `replace \| with ^` | all |"
print(mutant_table.complaints(mutants, mutants, kinds))
for row in (moved[0].replace("a \|", "d \|"), moved[0].replace("made_up", "nowhere"), kinds.replace("^", "&")):
    print(mutant_table.complaints([], mutants, row)[-1])
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

RUN = r"""
from kvmrs.stages import mutant_run, mutant_switches
from kvmrs.tools import toolroot
toolroot.ensure = lambda: None
(mutant_switches.tree() / "model").mkdir(parents=True)
mutant_run.LIMITS, mutant_run.LOOK, mutant_run.PATIENCE = (1, 1, 1), 0.1, 3
tests = mutant_run.Tests(PROGRAM)
for number in range(7):
    print(number, *tests.run(number, "a.rs")[:2])
"""
PROGRAM = r"""
case $KVMRS_MUTANT in
    0) ;;
    1) echo "test slow ... FAILED"; exec sleep 1000 ;;
    2) while :; do :; done ;;
    3) echo "test quick ... ok"; printf "test slow ... "; exec sleep 1000 ;;
    4) kill -SEGV $$ ;;
    5) exit 101 ;;
    6) case "$*" in "--test-threads=1 --exact slow") echo "test slow ... FAILED" ;; esac ;;
esac
echo "test quick ... ok"
sleep 0.2
echo "test slow - should panic ... ok"
"""

VERDICTS = r"""
from kvmrs.stages import mutant_copy
from kvmrs.stages.mutant_verdicts import Verdicts
file = mutant_copy.folder() / "verdicts"
first = Verdicts(file, "one", False)
for key, what in (("a", "killed"), ("b", "survive"), ("c", "do not compile")):
    first.add(key, what, how="a\ttest")
Verdicts(file, "two", False).add("c", "survive")
with open(file, "a") as cut:
    cut.write("d\tone\tkil")
for digest, iterate in (("one", False), ("one", True), ("two", False), ("two", True)):
    found = Verdicts(file, digest, iterate)
    print([verdict.what for key in "abcd" if (verdict := found.of(key))], found.earlier("abcd"))
"""

COMPILED = r"""
from kvmrs.stages import mutant_switches
from kvmrs.stages.mutant_switches import Switched
(mutant_switches.tree()).mkdir(parents=True)
text = "fn f() { /*M4*/ return 1; /*E*/ g() /*M5*/ h() /*E*/ }"
(mutant_switches.tree() / "f.rs").write_text(text)
def error(code, primary, secondary=0, message=""):
    spans = [{"file_name": "f.rs", "byte_start": at, "is_primary": at == primary} for at in (primary, secondary)]
    return {"code": {"code": code}, "spans": spans, "message": message, "rendered": message}
at = text.index
switched = Switched()
print(mutant_switches._learn(switched, []))
print(mutant_switches._learn(switched, [
    error("E0277", at("return")),
    error("E0282", at("h()")),
    error("E0308", at("g()"), at("h()")),
    error("E0015", at("g()"), message="cannot call non-const method `a::b::<impl c::D>::size` in constants"),
]))
print(switched)
mutant_switches._learn(switched, [error("E0308", at("g()"), message="mismatched types")])
"""


class MutantsTest(CheckoutTest):
    """Made-up survivors, and made-up tests."""

    def test_a_row_excuses_one_while_there_is_such_a_mutant(self) -> None:
        done = self.run_python(SURVIVORS)
        said = [
            "not explained in mutants.md:",
            r"| tdp_mmu/made_up.rs:2:15 | `let x = a \| b \| c;` | `replace \| with ^ in f` | why? |",
            "True",
            "[]",
            "tdp_mmu/made_up.rs: let x = d | b | c; replace | with ^ in f",
            "tdp_mmu/nowhere.rs: let x = a | b | c; replace | with ^ in f",
            "tdp_mmu/made_up.rs:  replace | with &",
        ]
        self.assertEqual(done.stdout.splitlines(), said, done.stderr)

    def test_tests_end_when_one_has_failed_or_hangs(self) -> None:
        done = self.run_python(ENDED)
        said = ["test a ... ok", "0", "test b ... FAILED", "1", "1"]
        self.assertEqual(done.stdout.splitlines(), said, done.stderr)

    def test_a_mutant_is_killed_hangs_or_survives(self) -> None:
        self.program("tests", PROGRAM)
        done = self.run_python(RUN.replace("PROGRAM)", repr(str(self.bin / "tests")) + ")"))
        said = [
            "0 survive ",
            "1 killed slow",
            "2 killed by hanging a test does not end",
            "3 killed by hanging slow waits",
            "4 killed a test ends the program",
            "5 killed a test ends the program",
            "6 killed slow",
        ]
        self.assertEqual(done.stdout.splitlines(), said, done.stderr)

    def test_verdicts_count_as_long_as_no_file_changes(self) -> None:
        done = self.run_python(VERDICTS)
        said = [
            "['killed', 'survive', 'do not compile'] 3",
            "['killed'] 1",
            "['survive'] 1",
            "['killed'] 1",
        ]
        self.assertEqual(done.stdout.splitlines(), said, done.stderr)

    def test_an_error_is_the_mutants_in_whose_marks_it_is(self) -> None:
        done = self.run_python(COMPILED)
        known = "Switched(program='', without={5}, broken={4}, constant={'size'})"
        self.assertEqual(done.stdout.splitlines(), ["False", "True", known], done.stderr)
        self.assertIn("the model with switches does not compile", done.stderr)
