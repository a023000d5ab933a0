# SPDX-License-Identifier: GPL-2.0
"""No space: commands as they are, on file systems that are too small for them. One line says so."""

import shutil
import subprocess
import sys
import unittest
import unittest.mock

from . import kernels
from .checkout import MachineTest

FULL = "the disk is full: free some space and run the same command again"
DOWNLOAD = """
from kvmrs.__main__ import main
from kvmrs.base.errors import KvmrsError
from kvmrs.build import tarball
tarball.UPSTREAM = "file://{folder}"
def none(_):
    raise KvmrsError("there is no such package")
tarball._package = none
raise SystemExit(main(["kernel"]))
"""


class FullTest(MachineTest):
    """The cache, or out/, is on a file system of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.kvmrs = str(self.checkout / "scripts" / "kvmrs.sh")

    def small(
        self, options: str, *command: str, place: str, more: str = "", **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command where `place` is a tmpfs that was mounted with these options; `more` goes before
        it. The tools that were lent are there all the same."""
        kept = self.bin / "kept"
        kept.mkdir()
        script = f"""
cp -P {self.cache_part}/* {kept} 2>/dev/null || true
mkdir -p {place}
mount -t tmpfs -o {options} none {place}
mkdir -p {self.cache_part}
cp -P {kept}/* {self.cache_part} 2>/dev/null || true
{more}
exec "$0" "$@"
"""
        return self.run_program(*self.apart("-m", script, *command), **settings)

    def kernel(self, options: str, place: str) -> "subprocess.CompletedProcess[str]":
        if shutil.which("git") is None:
            self.skipTest("no git")
        kernels.set_series(self.checkout)
        tarball = str(kernels.tarball(self.bin))
        return self.small(options, self.kvmrs, "kernel", place=place, KERNEL_TARBALL=tarball)

    def assert_full(self, done: "subprocess.CompletedProcess[str]", says: str = FULL) -> None:
        """The last line says it, and nothing says more than once that something is wrong."""
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        self.assertTrue(done.stderr.splitlines()[-1].startswith("kvm_rs: error: "), said)
        self.assertIn(says, done.stderr.splitlines()[-1])
        self.assertEqual(said.count("kvm_rs: error: "), 1, said)
        self.assertNotIn("Traceback", said)

    def test_a_disk_that_can_hold_no_tree(self) -> None:
        """It is refused before the first byte."""
        done = self.kernel("size=100m", str(self.cache))
        self.assert_refused(done, 1, "a kernel tree needs 4 GB, 0.1 GB are free in")

    def test_a_disk_that_is_full_under_tar(self) -> None:
        """Of files: there is room for their contents."""
        self.assert_full(self.kernel("size=6g,nr_inodes=200", str(self.cache)))

    def test_a_disk_that_is_full_under_cargo(self) -> None:
        crates = self.lend_crates()
        done = self.small("size=4m", self.kvmrs, "model", place=str(self.cache), more=crates)
        self.assert_full(done)
        self.assertNotIn("network", done.stderr)

    def test_a_disk_that_is_full_from_the_start(self) -> None:
        self.assert_full(self.small("nr_inodes=4", self.kvmrs, "kernel", place=str(self.cache)))

    def test_a_disk_that_is_full_under_a_download(self) -> None:
        """Debian has none here, and kernel.org's is larger than the disk."""
        folder = self.bin / "upstream"
        folder.mkdir()
        kernels.tarball(folder).rename(folder / "linux-7.3.4.tar.xz")
        (folder / "sha256sums.asc").write_text(f"{'0' * 64}  linux-7.3.4.tar.xz\n")
        script = DOWNLOAD.format(folder=folder)
        python = [sys.executable, "-P", "-c", script]
        self.assert_full(self.small("size=64k", *python, place=str(self.cache), **self.python_path()))

    def test_no_room_for_results(self) -> None:
        """Of a build that says more than its log can hold."""
        makefile = kernels.MAKEFILE.replace("\tcmp ", "\tseq 100000; cmp ", 1)
        with unittest.mock.patch.object(kernels, "MAKEFILE", makefile):
            self.assert_full(self.kernel("size=64k", str(self.checkout / "out")))


if __name__ == "__main__":
    unittest.main()
