# SPDX-License-Identifier: GPL-2.0
"""No network: commands as they are, with nothing fetched yet, and no way out. One line says so."""

import concurrent.futures
import subprocess
import unittest

from .checkout import MachineTest


class NetworkTest(MachineTest):
    """In a network of its own, where nobody is."""

    def setUp(self) -> None:
        super().setUp()
        (self.bin / "apt-get").unlink()  # the real one can install nothing from there

    def cut_off(self, *command: str) -> "subprocess.CompletedProcess[str]":
        program = str(self.checkout / "scripts" / "kvmrs.sh")
        no_proxy = {"http_proxy": "", "https_proxy": ""}
        return self.run_program(*self.apart("-n", 'exec "$0" "$@"', program, *command), **no_proxy)

    def assert_network(self, done: "subprocess.CompletedProcess[str]") -> None:
        """The last line alone is kvmrs's, and says what to do."""
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("kvm_rs: error: "), said)
        self.assertIn("check the network (or http_proxy)", last)
        self.assertEqual(said.count("kvm_rs: error: "), 1, said)
        for word in ("Traceback", "urlopen", "Errno", "nobody has"):
            self.assertNotIn(word, said)

    def test_nothing_is_there(self) -> None:
        """Not even tools, where this machine has none of its own."""
        for lent in self.cache_part.iterdir():
            lent.unlink()
        self.assert_network(self.cut_off("demo"))

    def test_no_source_and_no_crates(self) -> None:
        """Both at once, because apt and cargo try again for a while."""
        with concurrent.futures.ThreadPoolExecutor() as runs:
            for done in runs.map(self.cut_off, ("kernel", "model")):
                self.assert_network(done)
        self.assertEqual(list(self.cache_part.glob("linux-*")), [])
        self.assertFalse((self.cache_part / "source" / "version").exists())

    def test_doctor(self) -> None:
        done = self.cut_off("doctor")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^MISSING  network +.*; connect it, or set http_proxy$")
        self.assertNotIn("urlopen", done.stdout)


if __name__ == "__main__":
    unittest.main()
