# SPDX-License-Identifier: GPL-2.0
"""What the patches may cost VMs on C, and what is no measurement."""

import io
import json
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List, Tuple
from unittest import mock

from kvmrs.base import paths
from kvmrs.base.errors import KvmrsError
from kvmrs.build import kernel
from kvmrs.stages import bench as stage
from kvmrs.suite import bench, bench_hooks, bench_page

from .bench_samples import events

SAME: Dict[str, float] = {host: 1000 for host in bench_hooks.HOSTS}


class HooksTest(unittest.TestCase):
    """Made-up figures of VMs on C."""

    def op(self, *boots: Dict[str, float]) -> bench.Op:
        samples = [
            {**event, "boot": boot}
            for boot, costs in enumerate(boots)
            for scale in bench.SCALES
            for event in events(scale, costs)
        ]
        (op,) = bench.collect(samples, [20] * len(samples))
        return op

    def test_half_a_percent_passes(self) -> None:
        op = self.op({"unpatched": 1000, "patched": 1005, "loaded": 990})
        self.assertEqual(bench_hooks.wrong(op), [])
        self.assertIn("| zap | 4k | 1000.0 | 1.0050 | 0.9900 | 1.0050 |", bench_page.hooks_table([op]))

    def test_more_fails_on_each_host(self) -> None:
        for host in bench_hooks.AFTER:
            found = bench_hooks.wrong(self.op({**SAME, host: 1006}))
            self.assertEqual(len(found), len(bench.SCALES))
            self.assertEqual(found[0], f"0.60 % above unpatched on {host} (memory x1)")

    def test_most_samples_may_be_disturbed(self) -> None:
        more: Dict[str, float] = {host: 1040 for host in bench_hooks.HOSTS}
        op = self.op(SAME, more, more, more)
        self.assertEqual(bench_hooks.wrong(op), [])
        self.assertFalse(bench_hooks.is_undecided(op))

    def test_some_may_be_on_one_host(self) -> None:
        for host in bench_hooks.HOSTS:
            more = {**SAME, host: 1040}
            self.assertEqual(bench_hooks.wrong(self.op(SAME, SAME, more, more, SAME, SAME)), [])

    def test_no_half_of_the_turns_may_show_more(self) -> None:
        more = {**SAME, "loaded": 1006}
        op = self.op(SAME, more, SAME, more, SAME)
        self.assertEqual(bench_hooks.ratio(op, "loaded"), 1)
        self.assertEqual(bench_hooks.highest(op), 1.006)
        self.assertTrue(bench_hooks.wrong(op))
        self.assertTrue(bench_hooks.is_undecided(op))

    def derived(self, *boots: Tuple[float, float]) -> bench.Op:
        """What each page of a clock costs, if one and three of them cost so much with the module loaded."""
        samples = [
            {**event, "op": f"clock, {pages}", "size": "update", "boot": boot}
            for boot, costs in enumerate(boots)
            for pages, base, cost in zip(("one page", "three pages"), (1000, 1200), costs, strict=True)
            for scale in bench.SCALES
            for event in events(scale, {"unpatched": base, "patched": base, "loaded": cost})
        ]
        *_, op = bench.collect(samples, [20] * len(samples))
        return op

    def test_a_derived_figure_is_of_samples_that_belong_together(self) -> None:
        op = self.derived((1000, 1200), (1040, 1240), (1000, 1200))
        self.assertEqual(bench_hooks.ratio(op, "loaded"), 1)
        self.assertEqual(bench_hooks.wrong(op), [])

    def test_a_derived_figure_fails(self) -> None:
        op = self.derived((1000, 1202), (1000, 1202))
        self.assertEqual(bench_hooks.wrong(op)[0], "1.00 % above unpatched on loaded (memory x1)")
        self.assertFalse(bench_hooks.is_undecided(op))
        self.assertTrue(bench_hooks.is_undecided(self.derived((1000, 1200), *[(1000, 1202)] * 5)))

    def test_what_is_in_all_samples_is_none(self) -> None:
        op = self.op({**SAME, "loaded": 1006}, {**SAME, "loaded": 1040})
        self.assertTrue(bench_hooks.wrong(op))
        self.assertFalse(bench_hooks.is_undecided(op))

    def test_what_is_in_nearly_all_is_undecided(self) -> None:
        self.assertTrue(bench_hooks.is_undecided(self.op(SAME, *[{**SAME, "loaded": 1040}] * 5)))

    def measured(self, loaded: List[float]) -> List[List[str]]:
        """What each boot measures, if samples with the module cost so much, and the last one again and again."""
        asked: List[List[str]] = []
        self.turns: List[int] = []

        def measure(name: str, *words: Any) -> Any:
            asked.append(words[-2])
            self.turns.append(words[-1])
            found = []
            for event in (event for scale in bench.SCALES for event in events(scale, {"c": 1000}, 4)):
                if name == "bench-loaded" and event["round"]:
                    event["instructions"] = 10 * (loaded.pop(0) if len(loaded) > 1 else loaded[0])
                found.append(event)
            return found, [20] * len(found)

        with TemporaryDirectory() as place, redirect_stdout(io.StringIO()):
            with mock.patch.object(stage, "_measure", measure), mock.patch.object(
                stage, "_hosts", lambda: [None] * 3
            ), mock.patch.object(paths, "out", lambda: Path(place)):
                (self.last,) = stage.hooks(4, [])
            kept, _ = json.loads((Path(place) / "bench-hooks.json").read_text())
        self.assertEqual([sample["boot"] for sample in kept], sorted(sample["boot"] for sample in kept))
        self.assertEqual({sample["backend"] for sample in kept}, set(bench_hooks.HOSTS))
        return asked

    def test_hosts_boot_in_turns_until_it_is_clear(self) -> None:
        self.assertEqual(self.measured([1000]), [[]] * 9)
        self.assertEqual(self.turns, [0, 0, 0, 1, 1, 1, 2, 2, 2])
        self.assertEqual(self.measured([1006]), [[]] * 9)
        self.assertTrue(bench_hooks.wrong(self.last))

    def test_what_stays_undecided_fails(self) -> None:
        often = self.measured([1000, 1006])
        self.assertEqual(
            often, [[]] * 9 + [["small"]] * 3 * (bench_hooks.MOST_TURNS - bench_hooks.TURNS)
        )
        self.assertTrue(bench_hooks.wrong(self.last))

    def test_a_tree_of_the_users_has_no_unpatched_one(self) -> None:
        with mock.patch.dict("os.environ", KDIR="/nowhere"):
            with self.assertRaisesRegex(KvmrsError, "without the patches too"):
                kernel.unpatched()
