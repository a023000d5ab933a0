# SPDX-License-Identifier: GPL-2.0
"""What fails the benchmark."""

import unittest
from typing import Dict, List

from kvmrs.base.errors import KvmrsError
from kvmrs.suite import bench, bench_page


def events(rust: float, scale: int, rounds: int = 2) -> List[Dict[str, object]]:
    """C costs 100 instructions a page; what comes first costs far more."""
    return [
        {
            "op": "zap",
            "size": "4k",
            "scenario": "small",
            "scan": False,
            "scale": scale,
            "round": number,
            "backend": backend,
            "pages": 10,
            "instructions": 10 * cost * (1 if number else 50),
            "flushes": 1,
        }
        for number in range(rounds + 1)
        for backend, cost in (("c", 100), ("rust", rust))
    ]


class BenchTest(unittest.TestCase):
    """Made-up figures."""

    def op(self, *rust: float) -> bench.Op:
        samples = [
            event
            for scale, cost in zip(bench.SCALES, rust, strict=True)
            for event in events(cost, scale)
        ]
        (op,) = bench.collect(samples, [20] * len(samples))
        return op

    def wrong(self, rust: List[float], before: List[float]) -> str:
        return "; ".join(self.op(*rust).wrong({("zap", "4k"): before}))

    def test_the_first_round_does_not_count(self) -> None:
        op = self.op(80, 80, 80)
        self.assertEqual([len(samples) for samples in op.samples.values()], [2] * 6)
        self.assertEqual((op.cost("c"), op.ratio()), (100, 0.8))
        self.assertEqual((op.cost("c", what="locked"), op.cost("c", what="flushes")), (2, 0.1))

    def test_what_became_worse_does_not_pass(self) -> None:
        self.assertEqual(self.wrong([80, 80, 80], [0.8, 0.8, 0.8]), "")
        self.assertEqual(self.wrong([104, 80, 80], [0.8, 0.8, 0.8]), "was 0.80, is 1.04 (memory x1)")

    def test_what_costs_more_than_on_c_does_not_pass(self) -> None:
        self.assertEqual(self.wrong([80, 80, 107], [0.8, 0.8, 1.06]), "7.0 % above C (memory x4)")

    def test_what_is_new_has_no_reference(self) -> None:
        self.assertEqual(self.op(80, 80, 80).wrong({}), ["is not in the reference"])

    def test_a_scan_must_cost_less_than_on_c(self) -> None:
        op = self.op(100, 99, 99)
        reference = {("zap", "4k"): [1.0, 1.0, 1.0]}
        self.assertEqual(op.wrong(reference), [])
        op.scan = True
        self.assertEqual(op.wrong(reference), ["finds nothing to do, and is not below C (memory x1)"])

    def test_a_page_without_a_place_for_figures_is_an_error(self) -> None:
        page = bench_page.PAGE.read_text()
        self.assertIn("| zap | 4k | 100.0 |", bench_page.with_figures(page, [self.op(80, 80, 80)]))
        for wrong in (page.replace("<!-- figures -->", ""), page + page):
            with self.assertRaisesRegex(KvmrsError, "places for the figures"):
                bench_page.with_figures(wrong, [self.op(80, 80, 80)])

    def test_each_sample_has_its_count(self) -> None:
        with self.assertRaises(ValueError):
            bench.collect(events(80, 1), [20])


if __name__ == "__main__":
    unittest.main()
