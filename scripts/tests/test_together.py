# SPDX-License-Identifier: GPL-2.0
"""Two runs at once, and runs that are ended: each has its own verdict, and nothing is left."""

import os
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Callable, List

from kvmrs.machine.terminal import Terminal

from .checkout import LIMIT, CheckoutTest

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
MOMENTS = 10

BOOT = """
import sys
from pathlib import Path
from kvmrs.machine import boot
from kvmrs.tools import toolroot
toolroot.command = lambda argv, *rest, **more: list(argv)
SCRIPT = '''
echo "console of $3" >&$1
echo '{"ev": "ready", "facts": {}}' >&$2
until [ -e "$XDG_CACHE_HOME/go" ]; do sleep 0.1; done
echo "BUG: of $3" >&$1
echo '{"ev": "end"}' >&$2
'''
name = sys.argv[1]
machine = boot.Machine("fake", None, {}, {})
with boot.alone(machine):
    ended = boot.watch(machine, lambda lines: ["sh", "-c", SCRIPT, "sh", *map(str, lines), name], print)
print(ended.verdict.reports)
"""
"""A machine that complains of itself by name, when it is told to go on; every run of it has the same
machine's name."""

ASIDE = """
import os, sys, time
from pathlib import Path
from kvmrs.base import aside
os.sched_getaffinity = lambda _: {0, 1, 2}
os.sched_setaffinity = lambda _, processors: print("beside on", processors, flush=True)
name = sys.argv[1]
def wait():
    while not Path(os.environ["XDG_CACHE_HOME"], "go").exists():
        time.sleep(0.05)
def work():
    print(name, "begins", flush=True)
    wait()
    print(name, "ends")
    return name
works = [("the first", wait), ("a stage", work)]
print("result of", aside.Shared(works, lambda *_: "broken").run()[1])
"""
"""A stage that runs beside another, as in make test, until it is told to end."""

SHARED = """
import os, subprocess, sys, time
from pathlib import Path
from kvmrs.__main__ import main
from kvmrs.base import aside
import kvmrs.commands.fmt as fmt
os.sched_setaffinity = lambda *_: None
died = Path(os.environ["XDG_CACHE_HOME"], "died")
def sleep():
    subprocess.run(["sleep", "300"])
def wait():
    while not died.exists():
        time.sleep(0.05)
def wrong():
    raise ValueError("wrong")
def dead():
    subprocess.Popen(["sleep", "300"])
    died.touch()
    os._exit(3)
def act(_):
    works = [(name, globals()[name]) for name in sys.argv[1:]]
    print("up", flush=True)
    print(aside.Shared(works, lambda *_: "broken").run())
fmt.main = act
raise SystemExit(main(["fmt"]))
"""
"""Shares the works that its arguments name."""

LOCKED = """
import sys
from kvmrs.__main__ import main
from kvmrs.base import lock
from kvmrs.tools import toolroot
import kvmrs.commands.fmt as fmt
def act(_):
    with lock.hold("testing", "test"):
        toolroot.subprocess.run(["sh", "-c", "setsid sleep 300 & trap '' TERM; echo up; wait; sleep 300"])
fmt.main = act
raise SystemExit(main(["fmt"]))
"""
"""Holds a lock, and starts what does not end by itself: in a session of its own, and deaf."""


def hear_signals() -> None:
    """Whoever runs the tests in the background may ignore some, and children inherit that."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


class TogetherTest(CheckoutTest):
    """Runs in one checkout."""

    def start(self, script: str, *given: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", "-c", script, *given],
            env={**self.environment(), **self.python_path()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=hear_signals,
        )

    def test_two_boots_of_one_machine(self) -> None:
        runs = {"one": self.start(BOOT, "one")}
        self.wait_for_holder()
        runs["two"] = self.start(BOOT, "two")
        assert runs["two"].stdout
        waiting = runs["two"].stdout.readline()
        Path(self.cache, "go").touch()
        said = {name: run.communicate(timeout=LIMIT)[0] for name, run in runs.items()}
        for name, text in said.items():
            self.assertEqual(text.splitlines()[-1], f"['BUG: of {name}']", text)
        self.assertIn("waiting for another run", waiting)
        self.assertIn("process ", waiting)
        self.assertNotIn("waiting for another run", said["one"])

    def test_two_stages_aside(self) -> None:
        """Each run shows what its own has said."""
        self.cache.mkdir()
        log, runs = self.checkout / "out" / "logs" / "a-stage.log", {}
        for name in "one", "two":
            runs[name] = self.start(ASIDE, name)
            self.wait_for(lambda: log.exists() and f"{name} begins" in log.read_text())
        Path(self.cache, "go").touch()
        for name, run in runs.items():
            said = run.communicate(timeout=LIMIT)[0].splitlines()
            self.assertEqual(said[-3:], [f"{name} begins", f"{name} ends", f"result of {name}"])
            self.assertEqual(said.count("beside on [1, 2]"), 1)

    def test_signals_end_what_is_beside(self) -> None:
        self.cache.mkdir()
        for number in SIGNALS:
            with self.subTest(signal=number), self.start(SHARED, "sleep", "sleep") as run:
                self.wait_for(lambda: len(self.left()) == 4)
                run.send_signal(number)
                self.assertEqual(run.wait(LIMIT), 128 + number)
                self.assertEqual(self.left(), [])

    def test_nothing_goes_on_beside_a_failure(self) -> None:
        """Nor does what a process that died beside has left."""
        self.cache.mkdir()
        for works, says in (("wrong", "sleep"), "ValueError: wrong"), (("wait", "dead"), "'broken'"):
            with self.subTest(works=works), self.start(SHARED, *works) as run:
                said = run.communicate(timeout=LIMIT)[0]
                self.assertIn(says, said)
                self.assertEqual(self.left(), [])

    def test_signals_leave_nothing(self) -> None:
        for number in SIGNALS:
            with self.subTest(signal=number), self.start(LOCKED) as run:
                assert run.stdout
                self.assertEqual(run.stdout.readline().strip(), "up")
                self.wait_for(lambda: len(self.left()) == 3)
                run.send_signal(number)
                self.assertEqual(run.wait(LIMIT), 128 + number)
                self.assertEqual(self.left(), [])
                self.assertEqual(self.lock_file().read_text(), "")

    def test_a_terminal_that_goes_away(self) -> None:
        """Its first program waits for the command and tells it nothing, as make does."""
        settings = {**self.environment(), **self.python_path()}
        words = [f"{name}={value}" for name, value in settings.items()]
        leader = ["sh", "-c", 'trap : HUP; "$@"', "sh", sys.executable, "-P", "-c", LOCKED]
        terminal = Terminal(["env", *words, *leader], 24, 80)
        terminal.expect("^up$", LIMIT)
        terminal.hang_up(20)
        self.assertEqual(self.left(), [])
        self.assertEqual(self.lock_file().read_text(), "")

    def test_signals_at_random_moments(self) -> None:
        """Before and after it is up. Early ones meet a Python that knows no better than to end: by the
        signal, or with code 1 where Ctrl-C interrupts its own start."""
        seed = random.randrange(1 << 32)
        moments, whole = random.Random(seed), 2 * self.time_to_be_up()
        for _ in range(MOMENTS):
            number, delay = moments.choice(SIGNALS), moments.uniform(0, whole)
            with self.subTest(seed=seed, signal=number, delay=delay), self.start(LOCKED) as run:
                time.sleep(delay)
                run.send_signal(number)
                early = (-number, 1) if number == signal.SIGINT else (-number,)
                self.assertIn(run.wait(LIMIT), (128 + number, *early))
                self.assertEqual(self.left(), [])
                if self.lock_file().exists():
                    self.assertEqual(self.lock_file().read_text(), "")

    def time_to_be_up(self) -> float:
        start = time.monotonic()
        with self.start(LOCKED) as run:
            assert run.stdout
            run.stdout.readline()
            took = time.monotonic() - start
            run.terminate()
        return took

    def wait_for_holder(self) -> None:
        """Until a run says in its lock file who it is."""
        locks = self.cache / "kvm_rs" / "locks"
        self.wait_for(lambda: any("process " in file.read_text() for file in locks.glob("*")))

    def wait_for(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not there():
            self.assertLess(time.monotonic(), end, "it does not come")
            time.sleep(0.02)

    def lock_file(self) -> Path:
        return self.cache / "kvm_rs" / "locks" / "test"

    def left(self) -> List[str]:
        """Processes with this test's environment: nothing else has its cache."""
        mark, found = f"XDG_CACHE_HOME={self.cache}".encode(), []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (place / "environ").read_bytes() and int(place.name) != os.getpid():
                    found.append((place / "cmdline").read_text().replace("\0", " "))
            except OSError:
                pass
        return found


if __name__ == "__main__":
    unittest.main()
