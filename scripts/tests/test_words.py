# SPDX-License-Identifier: GPL-2.0
"""Command lines: help never acts, and what is not known is refused before anything is done."""

import contextlib
import io
import re
import shutil
import subprocess
import tarfile
import unittest
from typing import List

from kvmrs import __main__ as program
from kvmrs.suite import own_tests

from .checkout import REPO, CheckoutTest

UNKNOWN = (
    "",
    "bogus",
    "clean --al",
    "clean everything",
    "install here",
    "demo now",
    "test quickly",
    "static --fast",
    "model 5",
    "module x",
    "kernel nope",
    "kernel base --bogus",
    "patch",
    "patch undo",
    "selftests --backend asm",
    "selftests --only a,,b",
    "selftests --onl a",
    "test-ept --mode none",
    "allocfail asm",
    "ownselftests more",
    "ownselftests --only recovery_2m,nope",
    "xen asm",
    "xen --guest pv",
    "demo --kvm",
    "museum nothing",
    "mutants --shard 8/8",
    "mutants --re (",
    "test-debug nope",
    "test-debug --only nope",
    "stress --flavor nope",
    "stress --backends rust,asm",
    "bench --only nope",
    "model-soak --only nope",
    "differential now",
    "vng --kernel x",
)
SUITE = """
from kvmrs.__main__ import main
from kvmrs.build import kernel
from kvmrs.machine import bochs
from kvmrs.tools import toolroot
toolroot.command = lambda argv, *rest, **more: list(argv)
toolroot.ensure = lambda: None
bochs.ensure = lambda: None
def build(*_):
    raise SystemExit("it builds")
kernel._made = build
raise SystemExit(main({words}))
"""
NUMBERS = (
    "stress --seconds -5",
    "stress --seconds 0",
    "stress --seed -1",
    "bench --rounds -2",
    "differential --seconds 0",
    "differential --seed x",
    "life --rounds -1",
    "life --rounds many",
    "model-soak -3",
    "model-soak --schedules 0",
    "selftests --timeout 0",
)


def commands() -> List[str]:
    text = (REPO / "scripts" / "kvmrs" / "__main__.py").read_text()
    return re.findall(r'^    "([\w-]+)": "', text, re.MULTILINE)


def targets() -> List[str]:
    """Of the Makefile."""
    lists = re.findall(r"^PHONY \+?:?= (.*)$", (REPO / "Makefile").read_text(), re.MULTILINE)
    return [name for names in lists for name in names.split()]


class WordsTest(CheckoutTest):
    """One checkout for many command lines: none of them may change it."""

    def setUp(self) -> None:
        super().setUp()
        self.before = self.files()

    def tearDown(self) -> None:
        self.assertEqual(self.files(), self.before)

    def test_help_of_every_command_does_nothing(self) -> None:
        self.assertIn("stress", commands())
        for given in [["--help"], *([name, "--help"] for name in commands())]:
            with self.subTest(given=given):
                done = self.run_command(*given)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.startswith("usage: scripts/kvmrs.sh"))

    def test_help_of_every_target_does_nothing(self) -> None:
        if shutil.which("make") is None:
            self.skipTest("no make")
        self.assertIn("distclean", targets())
        tree = self.bin / "linux"
        tree.mkdir()
        (tree / "Module.symvers").write_text("0x0\tkvm_register_vm_backend\n")
        for words in [[name] for name in targets()] + [["modules", f"KDIR={tree}"]]:
            with self.subTest(words=words):
                done = self.run_program("make", "-C", str(self.checkout), *words, "ARGS=--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertRegex(done.stdout, "[Uu]sage: " if words != ["help"] else "make distclean")

    def test_unknown_words_are_refused(self) -> None:
        for line in UNKNOWN:
            with self.subTest(line=line):
                self.assert_refused(self.run_command(*line.split()), 2, "kvm_rs: error: ")

    def test_the_guest_that_moves_goes_to_both_backends(self) -> None:
        done = self.run_command("xen", "--guest", "moves", "rust")
        self.assert_refused(done, 1, "this guest goes to both backends; name none")

    def test_no_command_takes_what_it_does_not_know(self) -> None:
        for name in commands():
            with self.subTest(name=name), contextlib.redirect_stderr(io.StringIO()) as said:
                with self.assertRaises(SystemExit) as ended:
                    program.parser([name]).parse_args([name, "--no-such-option"])
                self.assertEqual(ended.exception.code, 2)
                self.assertRegex(said.getvalue(), r"\Akvm_rs: error: .*\n\Z")

    def test_numbers_that_cannot_be_meant_are_refused(self) -> None:
        for line in NUMBERS:
            with self.subTest(line=line):
                self.assert_refused(self.run_command(*line.split()), 2, "is no whole number")

    def test_what_there_is_of_own_tests(self) -> None:
        """As the sources have it: tests of one line and of several, in C, and those that show bugs."""
        there = own_tests.names()
        for name in ("recovery_2m", "edge_two_slots", "root_span_test", "flush_between_slots"):
            self.assertIn(name, there)
        self.assertEqual(len(there), len(set(there)))


class SuiteTest(CheckoutTest):
    """Tests of the kernel have the names that its source gives them."""

    def setUp(self) -> None:
        super().setUp()
        if shutil.which("make") is None:
            self.skipTest("no make")
        self.tarball = self.bin / "linux.tar"
        files = {
            "Makefile": "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n",
            "tools/testing/selftests/kvm/Makefile": "emit_tests:\n\t@echo $(COLLECTION):a_test\n",
        }
        with tarfile.open(self.tarball, "w") as archive:
            for name, text in files.items():
                info = tarfile.TarInfo(f"linux/{name}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))

    def said(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.run_python(SUITE.format(words=list(words)), KERNEL_TARBALL=str(self.tarball))

    def test_unknown_ones_are_refused_before_anything_is_built(self) -> None:
        for command in ("selftests", "test-ept"):
            for names, says in (
                ("a_test", "it builds"),
                ("a_test,nope", "no such selftest: nope; there are: a_test"),
            ):
                with self.subTest(command=command, names=names):
                    done = self.said(command, "--only", names)
                    self.assertEqual(done.returncode, 1)
                    self.assertIn(says, done.stderr.splitlines()[-1])

    def test_what_the_list_for_ept_has_needs_no_source(self) -> None:
        for name in ("smm_test", "recovery_2m", "nested_map_test", "differential"):
            with self.subTest(name=name):
                done = self.said("test-ept", "--only", name)
                self.assertEqual((done.stdout, done.stderr), ("", "it builds\n"))


if __name__ == "__main__":
    unittest.main()
