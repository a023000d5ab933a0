# SPDX-License-Identifier: GPL-2.0
"""Checks of the Rust files see what they are there for."""

import unittest
from pathlib import Path
from typing import Dict, List

from kvmrs.checks import rust_rooms, safe_files

FORBIDS = "#![forbid(unsafe_code)]\n"
UNSAFE = "fn f() { unsafe { g() } }\n"


class SafeFilesTest(unittest.TestCase):
    """Files that have no unsafe code, and do not say so."""

    def silent(self, files: Dict[str, str]) -> List[str]:
        return [str(path) for path in safe_files.silent({Path(name): files[name] for name in files})]

    def test_one_that_needs_none_forbids_it(self) -> None:
        self.assertEqual(self.silent({"a.rs": FORBIDS, "b.rs": "fn f() {}", "c.rs": UNSAFE}), ["b.rs"])

    def test_one_above_unsafe_code_cannot(self) -> None:
        files = {"a/mod.rs": "mod b;", "a/b/mod.rs": "mod c;", "a/b/c.rs": UNSAFE}
        self.assertEqual(self.silent(files), [])
        self.assertEqual(self.silent({**files, "a/b/c.rs": FORBIDS}), ["a/mod.rs", "a/b/mod.rs"])

    def test_nor_one_that_includes_another(self) -> None:
        self.assertEqual(self.silent({"a.rs": 'include!("b");'}), [])

    def test_a_file_beside_others_is_not_above_them(self) -> None:
        self.assertEqual(self.silent({"a/b.rs": "fn f() {}", "a/c.rs": UNSAFE}), ["a/b.rs"])


class RoomsTest(unittest.TestCase):
    """Folders that import in the wrong direction."""

    def complaints(self, file: str, target: str) -> List[str]:
        return list(rust_rooms.complaints({file: {target}}, ["lower", "upper"]))

    def test_a_room_imports_from_those_before_it(self) -> None:
        for file, target in (
            ("rust/kvm/upper/a.rs", "rust/kvm/lower/b.rs"),
            ("rust/kvm/lower/a.rs", "rust/kvm/lower/raw/b.rs"),
            ("rust/kvm/lower/a.rs", "rust/mm/b.rs"),
            ("rust/kvm/lower/a.rs", "rust/kvm/trace.rs"),
            ("xen/a.rs", "pfncache/b.rs"),
            ("tdp_mmu/inside/a.rs", "rust/kvm/upper/b.rs"),
            ("rust/backend/ops/a.rs", "tdp_mmu/b.rs"),
        ):
            self.assertEqual(self.complaints(file, target), [], (file, target))

    def test_and_from_no_others(self) -> None:
        for file, target in (
            ("rust/kvm/lower/a.rs", "rust/kvm/upper/b.rs"),
            ("rust/kvm/upper/a.rs", "rust/kvm/unlisted/b.rs"),
            ("rust/kvm/unlisted/a.rs", "rust/kvm/lower/b.rs"),
            ("rust/kvm/upper/a.rs", "tdp_mmu/b.rs"),
            ("rust/mm/a.rs", "rust/kvm/lower/b.rs"),
            ("rust/mm/a.rs", "rust/sync/b.rs"),
            ("tdp_mmu/a.rs", "pfncache/b.rs"),
            ("xen/a.rs", "rust/backend/b.rs"),
        ):
            self.assertEqual(self.complaints(file, target), [f"{file} may not import {target}"])


if __name__ == "__main__":
    unittest.main()
