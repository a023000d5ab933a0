# SPDX-License-Identifier: GPL-2.0
"""C and Rust compared: what each operation of the TDP MMU costs, in instructions a page.

The figures say nothing about caches, TLBs, locks under contention or time on real hardware. What
fails the run is in suite/bench.py. --save makes this run the reference of later ones, and the one
that docs/performance.md shows. Figures that fail the run are not saved, unless --save-red says so.

--hooks compares VMs on C with themselves instead: on Linux without the patches, with them, and with
the module loaded too. --memory compares what VMs on C and on Rust hold of the host's memory, --nodes
what they do where the host has two nodes and moves and merges their pages, --faults how many faults
are left to a vCPU while the dirty log of another slot is harvested. --storms does the same beside storms of
invalidations that are not about its memory. --logs compares what harvests of logs of up to 4 GiB cost.
"""

from argparse import ArgumentParser, Namespace
from typing import Callable, List, Sequence

from ..base import paths, ui, words
from ..base.errors import KvmrsError
from ..stages import bench as stage
from ..suite import bench, bench_hooks, bench_logs, bench_page, bench_storms

ROUNDS = 5
WARNING = (
    "instructions counted by an emulator: they say nothing about caches, TLBs,"
    " contention or time on real hardware"
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rounds", type=words.whole(1), default=ROUNDS, metavar="N", help="samples of each operation"
    )
    parser.add_argument("--save", action="store_true", help="as the reference, and for the page")
    parser.add_argument("--save-red", action="store_true", help="the same, though some fail the run")
    others = parser.add_mutually_exclusive_group()
    others.add_argument("--hooks", action="store_true", help="what the patches cost VMs on C")
    others.add_argument("--memory", action="store_true", help="what VMs hold of the host's memory")
    others.add_argument("--nodes", action="store_true", help="what moved and merged pages cost VMs")
    others.add_argument("--faults", action="store_true", help="faults beside a harvest of a dirty log")
    others.add_argument("--storms", action="store_true", help="faults beside storms of invalidations")
    others.add_argument("--logs", action="store_true", help="harvests of dirty logs of up to 4 GiB")
    words.add_only(parser, stage.scenarios())


def main(options: Namespace) -> int:
    if (options.save or options.save_red) and (options.only or options.rounds < ROUNDS):
        raise KvmrsError("only a whole run is worth saving", f"leave out --only; --rounds {ROUNDS}")
    others = {
        "hooks": _hooks,
        "memory": _memory,
        "nodes": _nodes,
        "faults": _faults,
        "storms": _storms,
        "logs": _logs,
    }
    chosen = [work for name, work in others.items() if getattr(options, name)]
    return (chosen or [_backends])[0](options)


def _backends(options: Namespace) -> int:
    ops = stage.run(options.rounds, options.only)
    (paths.out() / "bench.json").write_text(bench.text(ops))
    before = bench.reference()
    # What is new is compared with nothing.
    known = {**bench.ratios(ops), **before}
    if _may_save(options, [op.wrong(known) for op in ops]):
        bench.REFERENCE.write_text(bench.text(ops))
        bench_page.write(ops)
        ui.say("  saved: selftests/bench/reference.json, docs/performance.md, docs/performance.svg")
    print(
        f"\n{'operation':<30}{'size':>5}{'C':>11}{'Rust':>11}{'ratio':>8}{'locked':>14}{'flushes':>16}"
    )
    for op in ops:
        print(
            f"{op.name:<30}{op.size:>5}{op.cost('c'):>11.1f}{op.cost('rust'):>11.1f}{op.ratio():>8.3f}"
            f"{_both(op, 'locked', 2):>14}{_both(op, 'flushes', 4):>16}{_note(op.wrong(before), op.scan)}"
        )
    print(f"\nInstructions a page of that size, kernel and all ({WARNING}).")
    print("Locked instructions and flushes are a page, on C and on Rust. All figures: out/bench.json")
    return _exit_code([op.wrong(before) for op in ops])


def _hooks(options: Namespace) -> int:
    ops = stage.hooks(options.rounds, options.only)
    _save(options, [bench_hooks.wrong(op) for op in ops], lambda: bench_page.write_hooks(ops))
    print(
        f"\n{'operation of a VM on C':<30}{'size':>5}"
        + "".join(f"{host:>11}" for host in (*bench_hooks.HOSTS, "highest"))
    )
    for op in ops:
        ratios = "".join(f"{bench_hooks.ratio(op, host):>11.4f}" for host in bench_hooks.AFTER)
        cost = op.cost(bench_hooks.BEFORE)
        print(
            f"{op.name:<30}{op.size:>5}{cost:>11.1f}{ratios}{bench_hooks.highest(op):>11.4f}{_note(bench_hooks.wrong(op))}"
        )
    print(f"\nInstructions a page on the first, and on the others against it ({WARNING}).")
    print(
        "Highest: on both, with memory of each size, of every other turn too. All: out/bench-hooks.json"
    )
    return _exit_code([bench_hooks.wrong(op) for op in ops])


def _memory(options: Namespace) -> int:
    _refuse_only(options, "--memory")
    rows = stage.memory()
    _save(options, [row.wrong() for row in rows], lambda: bench_page.write_memory(rows))
    print(f"\n{'bytes of the host for each':<30}{'C':>12}{'Rust':>12}{'tables: C':>12}{'Rust':>12}")
    for row in rows:
        held = [row.all["c"], row.all["rust"], row.tables["c"], row.tables["rust"]]
        cells = "".join(f"{bytes:>12.0f}" for bytes in held)
        print(f"{row.what:<30}{cells}{_note([row.wrong()] if row.wrong() else [])}")
    return _exit_code([row.wrong() for row in rows], "rows")


def _nodes(options: Namespace) -> int:
    _refuse_only(options, "--nodes")
    rows = stage.nodes()
    _save(options, [row.wrong for row in rows], lambda: bench_page.write_nodes(rows))
    print(f"\n{'for each million writes of the guest':<40}{'C':>12}{'Rust':>12}")
    for row in rows:
        cells = "".join(f"{row.counts[backend]:>12.1f}" for backend in bench.BACKENDS)
        print(f"{row.what:<40}{cells}{_note([row.wrong] if row.wrong else [])}")
    return _exit_code([row.wrong for row in rows], "rows")


def _faults(options: Namespace) -> int:
    _refuse_only(options, "--faults")
    rows = stage.faults()
    _save(options, [row.wrong for row in rows], lambda: bench_page.write_faults(rows))
    print(f"\n{'faults':<10}{'beside':>12}{'alone':>12}{'share':>12}{'slowest us':>14}{'alone':>12}")
    for row in rows:
        cells = f"{row.beside['rate']:>12.0f}{row.alone['rate']:>12.0f}{row.share():>12.3f}"
        worst = f"{row.beside['worst']:>14.1f}{row.alone['worst']:>12.1f}"
        print(f"{row.backend:<10}{cells}{worst}{_note([row.wrong] if row.wrong else [])}")
    print(f"\nSeconds are {WARNING}.")
    return _exit_code([row.wrong for row in rows], "rows")


def _storms(options: Namespace) -> int:
    _refuse_only(options, "--storms")
    rows = stage.storms()
    _save(options, [row.wrong for row in rows], lambda: bench_page.write_storms(rows))
    print("\n" + ", ".join(("backend", *bench_storms.COLUMNS)))
    for row in rows:
        cells = "".join(f"{cell:>12}" for cell in row.shown())
        print(f"{row.backend:<10}{cells}{_note([row.wrong] if row.wrong else [])}")
    return _exit_code([row.wrong for row in rows], "rows")


def _logs(options: Namespace) -> int:
    _refuse_only(options, "--logs")
    rows = stage.logs()
    _save(options, [row.wrong for row in rows], lambda: bench_page.write_logs(rows))
    print("\n" + ", ".join(bench_logs.COLUMNS))
    for row in rows:
        cells = "".join(f"{cell:>10}" for cell in row.shown())
        print(f"{cells}{_note([row.wrong] if row.wrong else [])}")
    print(f"\nPages cost {WARNING}.")
    return _exit_code([row.wrong for row in rows], "rows")


def _save(options: Namespace, wrong: Sequence[object], write: Callable[[], None]) -> None:
    if _may_save(options, wrong):
        write()
        ui.say("  saved: docs/performance.md")


def _may_save(options: Namespace, wrong: Sequence[object]) -> bool:
    """Whether that was asked for. Later runs are compared with it, and would find a red figure as it was."""
    red = sum(map(bool, wrong))
    if options.save and red and not options.save_red:
        ui.say(f"  not saved: {red} of {len(wrong)} fail the run; --save-red saves them all the same")
    return options.save_red or options.save and not red


def _refuse_only(options: Namespace, word: str) -> None:
    if options.only:
        raise KvmrsError(f"{word} measures no operations", "leave out --only")


def _note(wrong: List[str], scan: bool = False) -> str:
    return f"  {'; '.join(wrong)}" if wrong else "  (scan)" if scan else ""


def _exit_code(wrong: Sequence[object], of: str = "operations") -> int:
    failed = sum(map(bool, wrong))
    if failed:
        print(f"FAILED: {failed} of {len(wrong)} {of}")
    return 1 if failed else 0


def _both(op: bench.Op, what: str, digits: int) -> str:
    return "/".join(f"{op.cost(backend, bench.LARGEST, what):.{digits}f}" for backend in ("c", "rust"))
