# SPDX-License-Identifier: GPL-2.0
"""What fails the benchmark."""

import argparse
import io
import json
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

from kvmrs.base.errors import KvmrsError
from kvmrs.commands import bench as command
from kvmrs.suite import (
    bench,
    bench_faults,
    bench_holds,
    bench_logs,
    bench_memory,
    bench_nodes,
    bench_page,
    bench_storms,
)

from .bench_samples import events


class BenchTest(unittest.TestCase):
    """Made-up figures."""

    def op(self, *rust: float) -> bench.Op:
        samples = [
            event
            for scale, cost in zip(bench.SCALES, rust, strict=True)
            for event in events(scale, {"c": 100, "rust": cost})
        ]
        (op,) = bench.collect(samples, [20] * len(samples))
        return op

    def wrong(self, rust: List[float], before: List[float]) -> str:
        return "; ".join(self.op(*rust).wrong({("zap", "4k"): before}))

    def saved(self, rust: float, before: List[float], *words: str) -> bool:
        """Whether a whole run with that cost becomes the reference."""
        with tempfile.TemporaryDirectory() as folder:
            reference = Path(folder, "reference.json")
            rows = [{"op": "zap", "size": "4k", "ratios": before}] if before else []
            reference.write_text(json.dumps(rows))
            old = reference.read_text()
            parser = argparse.ArgumentParser()
            command.add_arguments(parser)
            with (
                mock.patch.object(bench, "REFERENCE", reference),
                mock.patch.object(bench_page, "write"),
                mock.patch.object(command.paths, "out", lambda: Path(folder)),
                mock.patch.object(command.stage, "run", lambda *_: [self.op(rust, rust, rust)]),
                redirect_stdout(io.StringIO()) as said,
            ):
                self.code = command.main(parser.parse_args(list(words)))
                was_saved = reference.read_text() != old
            self.assertEqual("saved: selftests/bench/reference.json" in said.getvalue(), was_saved)
            self.assertEqual(
                "not saved: 1 of 1" in said.getvalue(), words == ("--save",) and not was_saved
            )
        return was_saved

    def test_red_figures_are_saved_only_if_that_is_asked_for(self) -> None:
        for rust, before, wanted in (
            (80, [0.8, 0.8, 0.8], True),
            (80, [], True),
            (90, [0.8, 0.8, 0.8], False),
            (107, [1.07, 1.07, 1.07], False),
            (107, [], False),
        ):
            with self.subTest(rust=rust, before=before):
                self.assertEqual(self.saved(rust, before, "--save"), wanted)
                self.assertTrue(self.saved(rust, before, "--save-red"))
                self.assertFalse(self.saved(rust, before))
                self.assertEqual(self.code, 0 if wanted and before else 1)

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

    def test_how_long_others_wait_has_a_limit_of_its_own(self) -> None:
        op = self.op(5001, 5000, 1)
        op.size = bench.HOLD
        self.assertEqual(op.wrong({}), ["others wait for 5001 instructions (memory x1)"])
        self.assertIn("| zap | 100 | 5001 | 100 | 5000 | 100 | 1 |", bench_holds.table([op]))
        self.assertIn("zap, Rust", bench_holds.picture([op]))

    def test_others_wait_as_long_as_on_c_where_c_gives_way(self) -> None:
        op = self.op(111, 110, 1)
        op.size, op.name = bench.HOLD, "mprotect, far apart"
        self.assertEqual(op.wrong({}), ["others wait 1.11 times as long (memory x1)"])

    def derived(self, size: str, costs: Dict[str, Dict[str, float]]) -> bench.Op:
        """What comes of operations that cost so much."""
        samples = [
            {**event, "op": op, "size": size}
            for op, cost in costs.items()
            for scale in bench.SCALES
            for event in events(scale, cost)
        ]
        return bench.collect(samples, [20] * len(samples))[-1]

    def test_what_costs_as_much_in_no_slot_is_not_kvms(self) -> None:
        no_slot, to_none = {"c": 60.0, "rust": 60.0}, {"c": 100.0, "rust": 64.0}
        costs = {"mprotect, 1G in no slot": no_slot, "mprotect, 1G to none": to_none}
        alone = self.derived("1g", costs)
        self.assertEqual((alone.name, alone.ratio()), ("mprotect, 1G to none, KVM alone", 0.1))

    def test_a_dirty_page_costs_what_it_adds(self) -> None:
        one_page, many = {"c": 400.0, "rust": 300.0}, {"c": 1000.0, "rust": 500.0}
        page = self.derived("4k", {"get log, one page": one_page, "get log, 1 in 1000": many})
        self.assertEqual(page.name, "get log, each dirty page")
        self.assertEqual((page.cost("c"), page.cost("rust")), (600 * 1024, 200 * 1024))

    def test_a_page_without_a_place_for_figures_is_an_error(self) -> None:
        page = bench_page.PAGE.read_text()
        for what in ("figures", "holds", "hooks", "memory", "storms", "logs"):
            self.assertIn("| zap |", bench_page.replaced(page, what, "| zap |"))
            for wrong in (page.replace(f"<!-- {what} -->", ""), page + page):
                with self.assertRaisesRegex(KvmrsError, f"places for the {what}"):
                    bench_page.replaced(wrong, what, "| zap |")

    def test_the_page_has_a_line_for_each_operation(self) -> None:
        self.assertIn("| zap | 4k | 100.0 |", bench_page.table([self.op(80, 80, 80)]))

    def test_each_sample_has_its_count(self) -> None:
        with self.assertRaises(ValueError):
            bench.collect(events(1, {"c": 100, "rust": 80}), [20])


class MemoryTest(unittest.TestCase):
    """Made-up figures of what VMs hold."""

    def row(self, what: str, c: float, rust: float) -> bench_memory.Row:
        (row,) = bench_memory.collect(
            [
                {"what": what, "backend": backend, "all": held, "tables": held / 2}
                for backend, held in (("c", c), ("rust", rust))
            ]
        )
        return row

    def test_the_modules_part_of_a_vm_is_limited(self) -> None:
        self.assertEqual(self.row("VM", 100000, 105000).wrong(), "")
        self.assertEqual(self.row("VM", 100000, 105100).wrong(), "4 bytes more than it may take")

    def test_nothing_else_takes_more_than_on_c(self) -> None:
        self.assertEqual(self.row("GiB", 100000, 101000).wrong(), "")
        self.assertEqual(self.row("GiB", 100000, 101001).wrong(), "1 bytes more than it may take")

    def test_the_page_has_kibibytes(self) -> None:
        table = bench_page.memory_table([self.row("GiB", 2048, 4096)])
        self.assertIn("| GiB | 2.0 | 4.0 | 1.0 | 2.0 |", table)


class NodesTest(unittest.TestCase):
    """Made-up counts on a host with two nodes."""

    def events(self, on_c: int, retries: int, flushes: int) -> List[Dict[str, Any]]:
        same = {"faults": 9, "invalidations": 100, "moved": 5, "copied": 4, "writes": 2_000_000}
        return [
            {**same, "backend": "c", "retries": on_c, "flushes": 300},
            {**same, "backend": "rust", "retries": retries, "flushes": flushes},
        ]

    def rows(self, retries: int, flushes: int) -> Dict[str, bench_nodes.Row]:
        return {row.what: row for row in bench_nodes.collect(self.events(50, retries, flushes))}

    def test_a_tenth_of_the_retries_is_allowed(self) -> None:
        self.assertEqual(self.rows(5, 0)["faults tried again"].wrong, "")
        self.assertEqual(self.rows(6, 0)["faults tried again"].wrong, "more than 10% of C's")

    def test_c_has_to_try_again_at_all(self) -> None:
        (row,) = [row for row in bench_nodes.collect(self.events(0, 0, 0)) if row.wrong]
        self.assertEqual(
            (row.what, row.wrong), ("faults tried again", "none on C: nothing to compare with")
        )

    def test_each_invalidation_may_flush_once(self) -> None:
        self.assertEqual(self.rows(0, 100)["flushes asked for"].wrong, "")
        self.assertEqual(self.rows(0, 101)["flushes asked for"].wrong, "more than invalidations")

    def test_counts_are_for_a_million_writes(self) -> None:
        table = bench_page.nodes_table(list(self.rows(4, 10).values()))
        self.assertIn("| faults tried again | 25.0 | 2.0 |", table)


class FaultsTest(unittest.TestCase):
    """Made-up faults beside a harvest."""

    def rows(self, rate: float, worst: float) -> List[bench_faults.Row]:
        alone = {"rate": 200, "worst": 5}
        return bench_faults.collect(
            [
                {"backend": "c", "beside": {"rate": 1, "worst": 1000}, "alone": alone},
                {"backend": "rust", "beside": {"rate": rate, "worst": worst}, "alone": alone},
            ]
        )

    def test_most_faults_must_be_left_on_rust(self) -> None:
        self.assertEqual([row.wrong for row in self.rows(180, 100)], ["", ""])
        self.assertEqual([row.wrong for row in self.rows(179, 100)], ["", "less than 90%"])

    def test_the_slowest_is_compared_with_the_slowest_on_c(self) -> None:
        self.assertEqual(self.rows(180, 101)[1].wrong, "the slowest takes more than 10% of C's")

    def test_the_page_has_all_of_it(self) -> None:
        table = bench_page.faults_table(self.rows(180, 100))
        self.assertIn("| c | 1 | 200 | 0.005 | 1000.0 | 5.0 |", table)


class StormsTest(unittest.TestCase):
    """Made-up storms."""

    def rows(
        self, locks: int = 0, rate: float = 100, each: float = 50, inside: int = 0, c: int = 7
    ) -> List[str]:
        def event(backend: str, locks: int, faults: Dict[str, float], inside: int) -> Dict[str, Any]:
            alone = {"rate": 100, "each": 50, "worst": 1}
            outside = {"locks": locks, "retried": 0, "beside": faults, "alone": alone}
            return {"backend": backend, "outside": outside, "inside": {"faults": 9, "retried": inside}}

        self.all = bench_storms.collect(
            [
                event("c", 3, {"rate": 50, "each": 50}, c),
                event("rust", locks, {"rate": rate, "each": each}, inside),
            ]
        )
        return [row.wrong for row in self.all]

    def test_others_must_not_be_disturbed_on_rust(self) -> None:
        self.assertEqual(self.rows(), ["", ""])
        self.assertEqual(self.rows(rate=98.1, each=50.9), ["", ""])
        self.assertIn("mmu_lock", self.rows(locks=1)[1])
        self.assertIn("disturbed", self.rows(rate=97)[1])
        self.assertIn("disturbed", self.rows(each=51.5)[1])
        self.assertIn("start again", self.rows(inside=1)[1])
        self.assertEqual(self.rows(c=0)[0], "nothing was to be seen")

    def test_the_page_has_a_line_for_each(self) -> None:
        self.rows(rate=99)
        self.assertIn("| rust | 0 | 0 | 0.990 | 1.000 | 9 | 0 |", bench_page.storms_table(self.all))


class LogsTest(unittest.TestCase):
    """Made-up harvests."""

    def row(self, clean: int = 2000, each: int = 100, clean_on_c: int = 1_000_000) -> bench_logs.Row:
        def event(backend: str, part: str, pages: int, instructions: int) -> Dict[str, Any]:
            words = {"backend": backend, "op": "get", "scale": 8, "size": part}
            return {**words, "pages": pages, "instructions": instructions}

        # Another sample of each was disturbed.
        events = [
            event(backend, part, pages, cost + more)
            for more in (0, 5, 90_000)
            for backend, one, each_page in (("c", clean_on_c, 250), ("rust", clean, each))
            for part, pages, cost in (("one page", 1, one), ("1 in 10", 101, one + 100 * each_page))
        ]
        (row,) = bench_logs.collect(events)
        return row

    def test_a_dirty_page_is_what_others_add(self) -> None:
        self.assertEqual((self.row().each("c"), self.row().each("rust")), (250, 100))
        self.assertEqual(self.row().wrong, "")
        self.assertIn("more than 0.4", self.row(each=101).wrong)

    def test_clean_pages_must_cost_little(self) -> None:
        self.assertEqual(self.row(clean=262_100).wrong, "")
        self.assertIn("0.02", self.row(clean=262_140).wrong)
        self.assertIn("than on C", self.row(clean=2000, clean_on_c=1999).wrong)

    def test_no_harvest_is_an_error(self) -> None:
        with self.assertRaises(KvmrsError):
            bench_logs.collect([])

    def test_the_page_has_a_line_for_each(self) -> None:
        line = "| get | 512 MiB | 1 in 10 | 250.0 | 100.0 | 0.400 | 0.012 | 7.629 | 0.015 |"
        self.assertIn(line, bench_page.logs_table([self.row()]))


if __name__ == "__main__":
    unittest.main()
