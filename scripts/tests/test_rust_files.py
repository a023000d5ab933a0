# SPDX-License-Identifier: GPL-2.0
"""Checks of the Rust files see what they are there for."""

import unittest
from pathlib import Path
from typing import Dict, List

from kvmrs.checks import safe_files

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


if __name__ == "__main__":
    unittest.main()
