# SPDX-License-Identifier: GPL-2.0
"""Commands as they are, ended at random moments: nothing runs on, no lock is held, and what they leave
half made is not taken for whole."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path
from typing import Iterator, List, Optional

from . import kernels
from .checkout import MachineTest
from .test_together import SIGNALS, hear_signals

EARLY = {number: (-number, 1) if number == signal.SIGINT else (-number,) for number in SIGNALS}
ROUNDS = 12
MODEL_ROUNDS = 8
MODEL_TIME = 2.0
"""Seconds after the start of the model's build: cargo looks at the crates, and rustc runs."""
TIME = 25.0
"""Seconds after which no further round begins."""
SOON = 20
"""Seconds for all that was started to end, on a busy machine."""


class SignalsTest(MachineTest):
    """Each command has a session of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.kvmrs = str(self.checkout / "scripts" / "kvmrs.sh")
        self.seed = random.randrange(1 << 32)
        self.random = random.Random(self.seed)
        self.quick = self.bin / "quick"

    def start(self, *argv: str, **settings: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            argv,
            env={**self.environment(), **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=hear_signals,
        )

    def moments(self, rounds: int, most: float) -> Iterator[float]:
        """Seconds to wait in each round; fewer rounds where the machine is slow."""
        begin = time.monotonic()
        for _ in range(rounds):
            if time.monotonic() < begin + TIME:
                yield self.random.uniform(0, most)

    def end(self, run: "subprocess.Popen[str]", delay: float, said: str = "") -> None:
        """It ends by a signal, soon. A run that has said nothing yet may be a Python that knows no better
        than to end: by the signal, or with code 1 where Ctrl-C interrupts its own start."""
        number = self.random.choice(SIGNALS)
        with self.subTest(seed=self.seed, signal=number, delay=delay):
            time.sleep(delay)
            run.send_signal(number)
            said += run.communicate(timeout=SOON)[0]
            if run.returncode in EARLY[number]:
                self.assertNotIn("kvm_rs", said)
                self.assertNotIn(" ...", said)
            else:
                self.assertEqual(run.returncode, 128 + number, said)
                self.assertNotIn("Traceback", said)
            self.assertEqual(self.left(run.pid), [])
            self.assert_unlocked()

    def left(self, session: int) -> List[str]:
        """Processes of the session, and those that know this test's cache."""
        mark, found = str(self.cache).encode(), []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "stat").read_text().rpartition(")")[2].split()
                alive, theirs = words[0] not in "ZX", int(words[3]) == session
                known = mark in (place / "environ").read_bytes() and int(place.name) != os.getpid()
                if alive and (theirs or known):
                    found.append((place / "cmdline").read_text().replace("\0", " "))
            except OSError:
                pass
        return found

    def assert_unlocked(self) -> None:
        for path in (self.cache_part / "locks").glob("*"):
            with open(path, encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.assertEqual(file.read(), "", path.name)

    def test_a_kernel(self) -> None:
        """It is unpacked, patched, configured and built, from where the last round has left it. Without
        `quick`, the build does not end by itself."""
        if shutil.which("git") is None:
            self.skipTest("no git")
        kernels.set_series(self.checkout)
        setting = {"KERNEL_TARBALL": str(kernels.tarball(self.bin))}
        self.quick.touch()
        start = time.monotonic()
        self.assertEqual(self.run_command("kernel", **setting).returncode, 0)
        whole = time.monotonic() - start
        self.assert_whole(self.tree())
        shutil.rmtree(self.tree())
        self.quick.unlink()
        for delay in self.moments(ROUNDS, 1.2 * whole):
            self.end(self.start(self.kvmrs, "kernel", **setting), delay)
            self.assert_whole(self.tree())
            if self.random.random() < 0.5:
                shutil.rmtree(self.tree(), ignore_errors=True)
        self.quick.touch()
        done = self.run_command("kernel", **setting)
        self.assertEqual(done.returncode, 0, (self.seed, done.stdout, done.stderr))
        self.assertTrue((self.tree() / ".kvm_rs-built").exists())
        self.assert_whole(self.tree())

    def tree(self) -> Path:
        """Where it is or will be."""
        trees = [tree for tree in self.cache_part.glob("linux-*") if tree.suffix != ".part"]
        return trees[0] if trees else self.cache_part / "linux-none"

    def assert_whole(self, tree: Path) -> None:
        """Each file is there as it was or as it is to be; the image, where it is said to be built."""
        if not tree.exists():
            return
        for name, text in kernels.files(self.bin).items():
            known = (text, "int rust;\n") if name == kernels.PATCHED else (text,)
            self.assertTrue((tree / name).read_text() in known, name)
        if (tree / ".kvm_rs-built").exists():
            image = (tree / "arch/x86/boot/bzImage").read_text()
            self.assertTrue(image == kernels.image(), f"the image has {len(image)} bytes")

    def test_the_model(self) -> None:
        """Cargo and rustc, with all of their threads and children."""
        script = f'{self.lend_crates()}\nexec "$0" "$@"'
        for delay in self.moments(MODEL_ROUNDS, MODEL_TIME):
            run = self.start(*self.apart("-m", script, self.kvmrs, "model"))
            assert run.stdout
            said = run.stdout.readline()
            self.assertIn("building for histories", said)
            self.end(run, delay, said)
            self.assertIsNone(self.holder_of_the_target())

    def holder_of_the_target(self) -> Optional[str]:
        """The lock of cargo's that is still held in there."""
        for path in self.cache_part.glob("model-target/*/.cargo-lock"):
            with open(path, encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return str(path)
        return None


if __name__ == "__main__":
    unittest.main()
