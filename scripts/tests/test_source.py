# SPDX-License-Identifier: GPL-2.0
"""Where the kernel source comes from: a known tarball, another one, or none."""

import hashlib
import itertools
import tarfile
from pathlib import Path

from kvmrs.build import known, series, tarball

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
MADE = LOOK.replace(
    "fmt.main = lambda _: print(source.ensure().name)",
    """
from kvmrs.build import kconfig, kernel, series
toolroot.versions = lambda: ""
series.patches = lambda: []
series.sync = lambda *_: 0
kconfig.write = kernel._build = lambda *_: None
kernel._described = lambda tree, *_: tree.name
fmt.main = lambda _: print(kernel.ensure())
""",
)
"""Everything but the patches and the build."""
CHECKED = LOOK.replace(
    "fmt.main = lambda _: print(source.ensure().name)",
    """
from kvmrs.build import series
series.need_to_apply = lambda tree: None
""",
).replace('["fmt"]', '["patch", "check"]')
"""make patch-check, for a source to which patches would apply."""
FILE = "virt/kvm/kvm_main.c"


class SourceTest(CheckoutTest):
    """Kernels of a Makefile and one file. One of them is known."""

    def setUp(self) -> None:
        super().setUp()
        self.configs = self.checkout / "scripts" / "config"
        for path in self.configs.glob("linux-*"):
            path.unlink()
        self.know("7.3.4", "int kvm;")

    def know(self, version: str, text: str) -> None:
        digest = hashlib.sha256(text.encode()).hexdigest()
        (self.configs / f"linux-{version}.sha256").write_text(f"# KVM\n{digest}  {FILE}\n")

    def tree(self, version: str, text: str) -> Path:
        major, minor, last = version.split(".")
        makefile = (
            f"# SPDX\nVERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = {last}\nEXTRAVERSION =\n"
        )
        tree = self.cache.parent / "linux"
        (tree / FILE).parent.mkdir(parents=True, exist_ok=True)
        (tree / FILE).write_text(text)
        (tree / "Makefile").write_text(makefile)
        return tree

    def tarball(
        self, version: str, text: str = "int kvm;", inside: str = "linux", ends: str = ""
    ) -> str:
        """`ends` is how it is packed."""
        path = self.cache.parent / f"linux-{version}.tar{ends and '.'}{ends}"
        with tarfile.open(path, f"w:{ends}") as archive:  # type: ignore[call-overload]
            archive.add(self.tree(version, text), inside)
        return str(path)

    def test_the_tarball_tells_the_version(self) -> None:
        done = self.run_python(LOOK, KERNEL_TARBALL=self.tarball("7.3.9"))
        self.assertRegex(done.stdout, r"^7\.3\.9-[0-9a-f]{8}\n$", done.stderr)

    def test_another_series_is_refused(self) -> None:
        done = self.run_python(LOOK, KERNEL_TARBALL=self.tarball("7.4.1"))
        self.assert_refused(done, 1, "is Linux 7.4.1; kvm_rs supports Linux 7.3.x")

    def test_a_known_one_is_known_however_it_is_packed(self) -> None:
        for inside, ends in ("linux-7.3.4", "xz"), ("linux-source-7.3", "gz"), ("x", ""):
            for script in MADE, CHECKED:
                with self.subTest(inside=inside, ends=ends):
                    tarball = self.tarball("7.3.4", inside=inside, ends=ends)
                    done = self.run_python(script, KERNEL_TARBALL=tarball)
                    self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
                    self.assertNotIn("warning", done.stdout)

    def test_others_are_tried_with_a_warning(self) -> None:
        for version, text, says in (
            ("7.3.9", "int kvm;", "Linux 7.3.9 is not known, tested is 7.3.4; trying it"),
            (
                "7.3.4",
                "int other;",
                f"KVM is not that of Linux 7.3.4 (1 of 1 files differ, {FILE} for one)",
            ),
        ):
            for script in MADE, CHECKED:
                with self.subTest(version=version, script=script):
                    done = self.run_python(script, KERNEL_TARBALL=self.tarball(version, text))
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertIn(f"  warning: {says}", done.stdout)

    def test_a_tree_is_known_by_its_originals(self) -> None:
        """Patches have changed the tree itself; what is there of old patches does not count."""
        tree, originals = self.tree("7.3.4", "int patched;"), self.cache.parent / "originals"
        (originals / FILE).parent.mkdir(parents=True)
        for text, count in ("int kvm;", 0), ("int other;", 1):
            (originals / FILE).write_text(text)
            script = f"""
from pathlib import Path
from kvmrs.build import known
print(len(known.doubts("7.3.4", Path("{originals}"), Path("{tree}"))))
"""
            self.assertEqual(self.run_python(script).stdout, f"{count}\n")

    def test_a_tree_of_the_user_is_known_by_the_same_files(self) -> None:
        for text, says in ("int kvm;", ""), ("int other;", "warning: KVM is not that of Linux 7.3.4"):
            tree = self.tree("7.3.4", text)
            script = CHECKED.replace("series.need", "series.is_applied = series.need")
            done = self.run_python(script, KDIR=str(tree))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"the series applies to {tree} (Linux 7.3.4)", done.stdout)
            self.assertEqual("warning" in done.stdout, bool(says))
            self.assertIn(says, done.stdout)

    def upstream(self) -> Path:
        """A folder as kernel.org has it: a tarball, and the list of checksums."""
        path = Path(self.tarball("7.3.4", ends="xz"))
        listed = f"{'0' * 64}  patch-7.3.4.xz\n{tarball._checksum(path)}  {path.name}\n"
        (path.parent / "sha256sums.asc").write_text(f"-----BEGIN PGP\n\n{listed}-----END\n")
        return path

    def test_upstream_where_there_is_no_package(self) -> None:
        """It is as known as the package would be."""
        path = self.upstream()
        done = self.run_python(MADE.replace("/nonexistent", str(path.parent)))
        self.assertEqual(done.stdout.splitlines()[-1:], ["linux-7.3.4-base"], done.stderr)
        self.assertNotIn("warning", done.stdout)

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
        self.assertEqual(known.newest(["7.3.4", "7.3.10", "7.3.9"]), "7.3.10")
        self.assertEqual(known.newest(["7.3.4", "7.3"]), "7.3.4")

    def test_the_list_has_what_the_series_touches(self) -> None:
        """But for files that patches make, and what is not KVM's."""
        made = {
            line.split()[1][2:]
            for patch in series.patches()
            for before, line in itertools.pairwise(patch.read_text().splitlines())
            if before == "--- /dev/null"
        }
        others = {"Documentation/admin-guide/kernel-parameters.txt"}
        self.assertEqual(series.files_of(series.patches()) - made - known.files(), others)

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
