# SPDX-License-Identifier: GPL-2.0
"""What commands say fits on narrow screens and on wide ones. In a log, what is wrong stays one line."""

import contextlib
import io
import os
import re
import shutil
import sys
from unittest.mock import patch

from kvmrs import __main__ as program
from kvmrs.machine.terminal import Terminal

from .checkout import LIMIT, REPO, CheckoutTest

COLUMNS = 40, 80


class ScreensTest(CheckoutTest):
    """Screens of 40 and of 80 columns."""

    def on_screen(self, columns: int, *words: str) -> str:
        """What a command says in a terminal."""
        settings = [f"{name}={value}" for name, value in self.environment().items()]
        kvmrs = str(self.checkout / "scripts" / "kvmrs.sh")
        terminal = Terminal(["env", "-u", "COLUMNS", *settings, kvmrs, *words], 24, columns)
        terminal.ended(LIMIT)
        terminal.close()
        self.assertNotIn("Traceback", terminal.said)
        return terminal.said

    def assert_fits(self, said: str, columns: int) -> None:
        """But for what can't be broken: a word that is alone in its line, and the form of a command."""
        for line in said.splitlines():
            if len(line.split()) > 1 and not line.startswith("    "):
                self.assertLessEqual(len(line), columns, said)

    def test_help_of_every_command(self) -> None:
        for columns in COLUMNS:
            for name in program.COMMANDS:
                said = io.StringIO()
                with self.subTest(columns=columns, name=name):
                    with patch.dict(os.environ, COLUMNS=str(columns)), contextlib.redirect_stdout(said):
                        with self.assertRaises(SystemExit):
                            program.parser([name]).parse_args([name, "--help"])
                    self.assertIn("show this", said.getvalue())
                    self.assert_fits(said.getvalue(), columns)

    def test_steps_and_what_is_said_of_them(self) -> None:
        title = "building the kernel's own selftests of KVM"
        said = "accelerator: tcg (/dev/kvm offers its guests neither SVM nor VMX)"
        words = f"from kvmrs.base import ui\nwith ui.step({title!r}): ui.say_line('  ' + {said!r})"
        terminal = Terminal(["env", "-u", "COLUMNS", sys.executable, "-c", words], 24, 40)
        terminal.ended(LIMIT)
        terminal.close()
        self.assertIn("selftests of", terminal.said)
        self.assertIn("neither", terminal.said)
        self.assert_fits(re.sub(r"\x1b\[K", "", terminal.said), 40)

    def test_help_has_paragraphs(self) -> None:
        done = self.run_command("bench", "--help", COLUMNS="200")
        self.assertRegex(done.stdout, r"(?m)^C and Rust compared: .{50,}\n\nThe figures say ")
        self.assertIn(
            "\n\n    demo [--xen]\n\n", self.run_command("demo", "--help", COLUMNS="200").stdout
        )

    def test_help_of_make(self) -> None:
        if shutil.which("make") is None:
            self.skipTest("no make")
        said = self.run_program("make", "-C", str(REPO), "--no-print-directory", "help").stdout
        self.assertIn("make distclean", said)
        self.assert_fits(said, max(COLUMNS))

    def test_doctor(self) -> None:
        for columns in COLUMNS:
            said = self.on_screen(columns, "doctor")
            self.assertIn("ok       architecture  Linux", said)
            self.assert_fits(said, columns)

    def test_what_is_wrong(self) -> None:
        """A command line, and what is found later."""
        for columns in COLUMNS:
            for words, setting in (["bogus"], ""), (["kernel", "base"], "/nonexistent"):
                with self.subTest(columns=columns, words=words):
                    with patch.object(self, "environment", lambda: self.with_kdir(setting)):
                        said = self.on_screen(columns, *words)
                        logged = self.run_command(*words)
                    self.assertTrue(said.startswith("kvm_rs: error: "), said)
                    self.assertGreater(len(said.splitlines()), 1)
                    self.assert_fits(said, columns)
                    self.assertEqual(" ".join(said.split()), logged.stderr.strip())

    def with_kdir(self, place: str) -> "dict[str, str]":
        return {**CheckoutTest.environment(self), "KDIR": place}
