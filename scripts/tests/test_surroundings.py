# SPDX-License-Identifier: GPL-2.0
"""Machines on which a command cannot work: one clear line, at once."""

import shutil
import subprocess
import unittest
from math import ceil
from pathlib import Path

from kvmrs.tools import packages

from .checkout import REPO, CheckoutTest

LOGGED = """
from kvmrs.__main__ import main
from kvmrs.base import proc, ui
import kvmrs.commands.fmt as fmt
def act(_):
    with ui.step("building") as shown:
        proc.run_logged(["sh", "-c", {script!r}], "build", shown)
fmt.main = act
raise SystemExit(main(["fmt"]))
"""
INSTALLED = """
from pathlib import Path
from kvmrs.tools import bootstrap, enter, toolroot
enter.command = lambda root, argv, cwd: list(argv)
{install}
"""
CARGO_FULL = "error: failed to write /x/lib.rmeta: No space left on device (os error 28)"
CARGO_OFFLINE = "error: failed to download from the registry: [6] Could not resolve hostname"
RUSTC = "error[E0308]: mismatched types"
SMALL = """
import os
from kvmrs.__main__ import main
from kvmrs.tools import build_machine, toolroot
sysconf = os.sysconf
os.sysconf = lambda name: 10**6 if name == "SC_PHYS_PAGES" else sysconf(name)
build_machine.free_bytes = lambda _: 9 * 10**9
toolroot.has = lambda *_: False
raise SystemExit(main(["doctor"]))
"""
"""A machine with 4 GB of memory and 9 GB of disk, and only what all commands need."""


class SurroundingsTest(CheckoutTest):
    """An ordinary place, with something missing."""

    def failing(self, words: str) -> "subprocess.CompletedProcess[str]":
        return self.run_python(LOGGED.format(script=f"echo '{words}' >&2; exit 101"))

    def test_python_too_old(self) -> None:
        self.program("python3", 'case $1 in --version) echo "Python 3.9.2";; *) exit 1;; esac')
        for command in ("doctor", "demo"):
            done = self.run_command(command)
            self.assert_refused(done, 1, "Python 3.9.2 is too old; install Python 3.11 or later")

    def test_disk_full(self) -> None:
        said = self.failing(CARGO_FULL).stderr
        self.assertIn("the disk is full", said)
        self.assertNotIn("network", said)

    def test_disk_full_while_python_writes(self) -> None:
        script = LOGGED.replace(
            "    with ui", "    open('/dev/full', 'wb', buffering=0).write(b'x')\n    with ui"
        )
        self.assert_refused(self.run_python(script.format(script="")), 1, "the disk is full")

    def test_no_network(self) -> None:
        self.assertIn("check the network", self.failing(CARGO_OFFLINE).stderr)

    def test_an_error_of_the_compiler_is_not_the_network(self) -> None:
        said = self.failing(RUSTC).stderr
        self.assertIn(RUSTC, said)
        self.assertNotIn("network", said)

    def test_packages_whose_installation_broke_off(self) -> None:
        """apt-get does nothing before they are configured: it is done, on this machine and in a root."""
        place = self.cache / "here"
        place.mkdir(parents=True)
        self.program("dpkg", f'echo "$@" >{place}/dpkg')
        self.program("apt-get", f"test -e {place}/dpkg || {{ echo dpkg was interrupted; exit 100; }}")
        for install in ("toolroot._install('x', ['y'])", f"bootstrap.add(Path('{place}'), 'x', ['y'])"):
            with self.subTest(install=install):
                done = self.run_python(INSTALLED.format(install=install))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual((place / "dpkg").read_text(), "--configure -a\n")
                (place / "dpkg").unlink()

    def test_wrong_kernel_trees(self) -> None:
        for command in ("demo", "test", "test-ept", "bench"):
            done = self.run_command(command, KDIR="/nonexistent")
            self.assert_refused(done, 1, "KDIR=/nonexistent is not a built kernel tree")

    def make(self, *words: str) -> "subprocess.CompletedProcess[str]":
        if shutil.which("make") is None:
            self.skipTest("no make")
        return self.run_program("make", "--no-print-directory", "-C", str(self.checkout), *words)

    def test_wrong_trees_for_the_module(self) -> None:
        """make modules KDIR= is kbuild's own, and it is asked nothing then."""
        tree = self.cache / "linux"
        tree.mkdir(parents=True)
        (tree / "Module.symvers").write_text("0x0\tkvm_init\n")
        for place, says in (
            ("/nonexistent", "KDIR=/nonexistent is not a built kernel tree (no Module.symvers)"),
            (f"{tree} b", f"KDIR={tree} b or {self.checkout} has a space in it"),
            (str(tree), f"KDIR={tree} is built without kvm_rs's hooks"),
        ):
            for target in ("modules", "modules_install"):
                with self.subTest(place=place, target=target):
                    self.assert_refused(self.make(target, f"KDIR={place}"), 2, says)

    def test_wrong_sources(self) -> None:
        """The tools to build with are not there, and are not fetched for these."""
        for name, place, says in (
            ("KERNEL_SRC", "/nonexistent", "/nonexistent is not a kernel tree"),
            ("KERNEL_TARBALL", "/nonexistent", "there is no file /nonexistent"),
            ("KERNEL_TARBALL", "/etc/passwd", "/etc/passwd is no tarball"),
        ):
            for command in ("demo", "kernel", "patch check"):
                with self.subTest(name=name, place=place, command=command):
                    done = self.run_command(*command.split(), **{name: place})
                    self.assert_refused(done, 1, says)

    def test_no_place_for_the_cache(self) -> None:
        for command in ("demo", "fmt", "doctor"):
            with self.subTest(command=command):
                done = self.run_command(command, XDG_CACHE_HOME="/etc/passwd")
                self.assert_refused(
                    done, 1, "/etc/passwd/kvm_rs cannot be made (Not a directory); set XDG"
                )

    def test_nobody_hears(self) -> None:
        """A pipe whose reader has gone, and a full disk."""
        for place, says in (("| true", "nobody reads"), (">/dev/full", "the disk is full")):
            with self.subTest(place=place):
                command = f"{self.checkout}/scripts/kvmrs.sh --help"
                script = f"( sleep 0.5; {command}; echo $? >&2 ) {place}"
                said = self.run_program("sh", "-c", script).stderr
                self.assertNotIn("Exception", said)
                self.assertNotIn("Traceback", said)
                self.assertTrue(said.endswith("\n1\n") and says in said, said)

    def test_a_shell_needs_a_terminal(self) -> None:
        """That is said before anything is fetched or built."""
        for command in "shell", "vng":
            self.assert_refused(self.run_command(command), 1, "a shell needs a terminal; run make")

    def test_read_only_places(self) -> None:
        """Commands stop, and doctor says the rest, too."""
        (self.cache / "kvm_rs").mkdir(parents=True)
        for place, says in (
            (self.checkout, "checkout is read-only; results go to out/ in there"),
            (self.cache, "kvm_rs is read-only; set XDG_CACHE_HOME"),
        ):
            with self.subTest(place=place):
                self.assert_refused(self.read_only(place, "demo"), 1, says)
                done = self.read_only(place, "doctor")
                self.assertEqual((done.returncode, done.stderr), (1, ""))
                self.assertRegex(done.stdout, rf"(?m)^MISSING  places .*{says}")
                self.assertRegex(done.stdout, r"(?m)^missing: .*\bplaces\b")

    def read_only(self, place: Path, command: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command where this place is read-only."""
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            self.skipTest("mounts need root")
        script = "mount --bind $0 $0 && mount -o remount,ro,bind $0 && exec $1 $2"
        words = [str(place), str(self.checkout / "scripts" / "kvmrs.sh"), command]
        return self.run_program("unshare", "-m", "sh", "-c", script, *words)

    def test_doctor_on_a_small_machine(self) -> None:
        said = self.run_python(SMALL).stdout
        self.assertRegex(said, r"(?m)^MISSING  memory +4\.1 GB, 7\.5 GB needed")
        self.assertRegex(said, r"(?m)^MISSING  disk +9 GB free in .*, 10 GB needed")
        self.assertRegex(said, r"(?m)^ok +later +still to be fetched: .*\bbochs\b.*\bvng\b")

    def test_the_readme_says_the_same(self) -> None:
        text = " ".join((REPO / "README.md").read_text().split())
        self.assertIn(
            f"takes {packages.DISK_GB} GB of disk and {ceil(packages.MEMORY_GB)} GB of memory", text
        )

    def test_doctor_says_all_of_it(self) -> None:
        done = self.run_command("doctor", KDIR="/nonexistent")
        self.assertEqual(done.returncode, 1)
        self.assertIn("KDIR=/nonexistent is not a built kernel tree", done.stdout)
        self.assertNotIn("Traceback", done.stdout + done.stderr)


class SpaceTest(CheckoutTest):
    """A checkout whose path the kernel's make would take for two."""

    place = "a checkout"

    def test_path_with_a_space(self) -> None:
        self.assert_refused(self.run_command("demo"), 1, "has a space or a colon in it")
        done = self.run_command("doctor")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has a space or a colon in it", done.stdout)

    def test_make_finds_the_commands_there(self) -> None:
        if shutil.which("make") is None:
            self.skipTest("no make")
        done = self.run_program("make", "-C", str(self.checkout), "demo")
        self.assertIn("has a space or a colon in it", done.stderr)
        self.assertFalse(Path(self.cache, "kvm_rs", "root").exists())


if __name__ == "__main__":
    unittest.main()
