# SPDX-License-Identifier: GPL-2.0
"""Where the kernel source comes from: a known tarball, another one, or none."""

import tarfile
from pathlib import Path

from kvmrs.build import tarball

from .checkout import CheckoutTest

LOOK = """
from kvmrs.__main__ import main
from kvmrs.build import source, tarball
from kvmrs.tools import toolroot
import kvmrs.commands.fmt as fmt
toolroot.command = lambda argv, *rest, **more: list(argv)
toolroot.ensure = lambda: None
tarball.UPSTREAM = "file:///nonexistent"
fmt.main = lambda _: print(source.ensure().name)
raise SystemExit(main(["fmt"]))
"""


class SourceTest(CheckoutTest):
    """Tarballs with a Makefile alone."""

    def tarball(self, version: str) -> str:
        major, minor, last = version.split(".")
        makefile = Path(self.cache.parent, "Makefile")
        makefile.write_text(
            f"# SPDX\nVERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = {last}\nEXTRAVERSION =\n"
        )
        path = self.cache.parent / f"linux-{version}.tar"
        with tarfile.open(path, "w") as archive:
            archive.add(makefile, f"linux-{version}/Makefile")
        return str(path)

    def test_another_version_is_tried_with_a_warning(self) -> None:
        done = self.run_python(LOOK, KERNEL_TARBALL=self.tarball("7.3.9"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning: linux-7.3.9.tar (Linux 7.3.9) is not known", done.stdout)
        self.assertIn("\n7.3.9-", done.stdout)

    def test_another_series_is_refused(self) -> None:
        done = self.run_python(LOOK, KERNEL_TARBALL=self.tarball("7.4.1"))
        self.assert_refused(done, 1, "is Linux 7.4.1; kvm_rs supports Linux 7.3.x")

    def test_a_known_one_needs_no_warning(self) -> None:
        path = self.tarball("7.3.4")
        known = self.checkout / "scripts" / "config" / "kernel-sources"
        first = self.run_python(LOOK, KERNEL_TARBALL=path)
        self.assertIn("warning: ", first.stdout)
        script = f"from kvmrs.build import tarball; print(tarball._checksum(tarball.Path('{path}')))"
        known.write_text(f"{self.run_python(script).stdout.strip()} 7.3.4 here\n")
        self.assertEqual(self.run_python(LOOK, KERNEL_TARBALL=path).stdout, "7.3.4\n")

    def upstream(self) -> Path:
        """A folder as kernel.org has it: a tarball, and the list of checksums."""
        path = Path(self.tarball("7.3.4"))
        path = path.rename(path.with_suffix(".tar.xz"))
        listed = f"{'0' * 64}  patch-7.3.4.xz\n{tarball._checksum(path)}  {path.name}\n"
        (path.parent / "sha256sums.asc").write_text(f"-----BEGIN PGP\n\n{listed}-----END\n")
        return path

    def test_upstream_where_there_is_no_package(self) -> None:
        """Its checksum counts as well."""
        path = self.upstream()
        look = LOOK.replace("/nonexistent", str(path.parent))
        done = self.run_python(look)
        self.assertIn("warning: linux-7.3.4.tar.xz (Linux 7.3.4) is not known", done.stdout, done.stderr)
        known = self.checkout / "scripts" / "config" / "kernel-sources"
        known.write_text(f"{tarball._checksum(path)} 7.3.4 upstream\n")
        self.assertEqual(self.run_python(look).stdout, "7.3.4\n")

    def test_upstream_that_broke_off(self) -> None:
        path = self.upstream()
        path.write_bytes(path.read_bytes()[:-1])
        done = self.run_python(LOOK.replace("/nonexistent", str(path.parent)))
        self.assertEqual(done.returncode, 1)
        self.assertIn("linux-7.3.4.tar.xz is not what kernel.org's sha256sums.asc lists", done.stderr)

    def test_upstream_without_that_version(self) -> None:
        path = self.upstream()
        (path.parent / "sha256sums.asc").write_text("")
        done = self.run_python(LOOK.replace("/nonexistent", str(path.parent)))
        self.assertIn("kernel.org's sha256sums.asc does not list linux-7.3.4.tar.xz", done.stderr)

    def test_the_newest_of_the_known_ones(self) -> None:
        self.assertEqual(tarball.newest(["7.3.4", "7.3.10", "7.3.9"]), "7.3.10")
        self.assertEqual(tarball.newest(["7.3.4", "7.3"]), "7.3.4")

    def test_none_to_be_had(self) -> None:
        done = self.run_python(LOOK)
        self.assertEqual(done.returncode, 1)
        said = done.stderr.splitlines()[-1]
        self.assertTrue(
            said.startswith("kvm_rs: error: nobody has the source of Linux 7.3; give one"), said
        )
        self.assert_refused(
            self.run_python(LOOK, KERNEL_TARBALL="/nonexistent.tar"),
            1,
            "there is no file /nonexistent.tar",
        )
