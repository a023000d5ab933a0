# SPDX-License-Identifier: GPL-2.0
"""The figures and the picture of docs/performance.md, out of runs of the benchmark."""

import re
from typing import List, Tuple

from ..base import paths
from ..base.errors import KvmrsError
from . import (
    bench,
    bench_faults,
    bench_holds,
    bench_hooks,
    bench_logs,
    bench_memory,
    bench_nodes,
    bench_storms,
)

PAGE = paths.REPO / "docs" / "performance.md"
PICTURE = paths.REPO / "docs" / "performance.svg"
HOLDS = paths.REPO / "docs" / "performance-holds.svg"

ROW, TOP, LEFT, UNIT = 18, 30, 230, 400
"""Pixels: a bar with its gap, above the first, before all bars, the length of C = 1.0."""
BAR = 12
COLOURS = {True: "#8ab4d8", False: "#33658a"}
"""Of scans, and of all others."""


def write(ops: List[bench.Op]) -> None:
    """Puts the figures into the page, and draws the pictures."""
    costs = [op for op in ops if not op.is_hold()]
    holds = [op for op in ops if op.is_hold()]
    page = replaced(PAGE.read_text(), "figures", table(costs))
    PAGE.write_text(replaced(page, "holds", bench_holds.table(holds)))
    PICTURE.write_text(_picture(costs))
    HOLDS.write_text(bench_holds.picture(holds))


def write_hooks(ops: List[bench.Op]) -> None:
    """Puts what the patches cost VMs on C into the page."""
    PAGE.write_text(replaced(PAGE.read_text(), "hooks", hooks_table(ops)))


def write_memory(rows: List[bench_memory.Row]) -> None:
    """Puts what VMs hold of the host's memory into the page."""
    PAGE.write_text(replaced(PAGE.read_text(), "memory", memory_table(rows)))


def write_nodes(rows: List[bench_nodes.Row]) -> None:
    """Puts what becomes of VMs on a host with two nodes into the page."""
    PAGE.write_text(replaced(PAGE.read_text(), "nodes", nodes_table(rows)))


def write_faults(rows: List[bench_faults.Row]) -> None:
    """Puts how faults go on beside a harvest into the page."""
    PAGE.write_text(replaced(PAGE.read_text(), "faults", faults_table(rows)))


def write_storms(rows: List[bench_storms.Row]) -> None:
    """Puts what storms of invalidations cost others into the page."""
    PAGE.write_text(replaced(PAGE.read_text(), "storms", storms_table(rows)))


def write_logs(rows: List[bench_logs.Row]) -> None:
    """Puts what harvests of logs cost into the page."""
    PAGE.write_text(replaced(PAGE.read_text(), "logs", logs_table(rows)))


def replaced(page: str, what: str, text: str) -> str:
    """The page, with another `text` between the marks of `what`."""
    marks = f"(?<=<!-- {what} -->\\n).*?(?=<!-- end of the {what} -->)"
    page, places = re.subn(marks, lambda _: text, page, flags=re.DOTALL)
    if places != 1:
        raise KvmrsError(f"{PAGE.name} has {places} places for the {what}", "it needs one")
    return page


def table(ops: List[bench.Op]) -> str:
    head = (
        "\n![Instructions of each operation on Rust, where C is 1.0](performance.svg)\n"
        "\n| operation | page | C | Rust | ratio | x1 / x2 / x4 | locked C | locked Rust | flushes C | Rust |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(_line(op) for op in ops) + "\n"


def _line(op: bench.Op) -> str:
    def counts(what: str, digits: int) -> Tuple[str, str]:
        costs = [op.cost(backend, bench.LARGEST, what) for backend in bench.BACKENDS]
        return f"{costs[0]:.{digits}f}", f"{costs[1]:.{digits}f}"

    ratios = " / ".join(f"{op.ratio(scale):.2f}" for scale in bench.SCALES)
    cells = [
        op.name,
        op.size,
        *counts("instructions", 1),
        f"{op.ratio():.2f}",
        ratios,
        *counts("locked", 2),
        *counts("flushes", 4),
    ]
    return f"| {' | '.join(cells)} |\n"


def hooks_table(ops: List[bench.Op]) -> str:
    head = "\n| operation | page | unpatched | patched | loaded | highest |\n|---|---|---|---|---|---|\n"
    return head + "".join(_hooks_line(op) for op in ops) + "\n"


def _hooks_line(op: bench.Op) -> str:
    ratios = [f"{bench_hooks.ratio(op, host):.4f}" for host in bench_hooks.AFTER]
    before = f"{op.cost(bench_hooks.BEFORE):.1f}"
    highest = f"{bench_hooks.highest(op):.4f}"
    return f"| {' | '.join([op.name, op.size, before, *ratios, highest])} |\n"


def memory_table(rows: List[bench_memory.Row]) -> str:
    head = "\n| one more | C | Rust | page tables: C | Rust |\n|---|---|---|---|---|\n"
    return head + "".join(_memory_line(row) for row in rows) + "\n"


def _memory_line(row: bench_memory.Row) -> str:
    held = [row.all["c"], row.all["rust"], row.tables["c"], row.tables["rust"]]
    return f"| {' | '.join([row.what, *(f'{bytes / 1024:.1f}' for bytes in held)])} |\n"


def nodes_table(rows: List[bench_nodes.Row]) -> str:
    head = "\n| for each million writes | C | Rust |\n|---|---|---|\n"
    return head + "".join(_nodes_line(row) for row in rows) + "\n"


def _nodes_line(row: bench_nodes.Row) -> str:
    counts = [f"{row.counts[backend]:.1f}" for backend in bench.BACKENDS]
    return f"| {' | '.join([row.what, *counts])} |\n"


def faults_table(rows: List[bench_faults.Row]) -> str:
    head = (
        "\n| | faults in a second | undisturbed | share | slowest, in microseconds | undisturbed |\n"
        "|---|---|---|---|---|---|\n"
    )
    return head + "".join(_faults_line(row) for row in rows) + "\n"


def _faults_line(row: bench_faults.Row) -> str:
    rates = [f"{faults['rate']:.0f}" for faults in (row.beside, row.alone)]
    worst = [f"{faults['worst']:.1f}" for faults in (row.beside, row.alone)]
    return f"| {' | '.join([row.backend, *rates, f'{row.share():.3f}', *worst])} |\n"


def storms_table(rows: List[bench_storms.Row]) -> str:
    head = f"\n| | {' | '.join(bench_storms.COLUMNS)} |\n|{'---|' * (1 + len(bench_storms.COLUMNS))}\n"
    return head + "".join(f"| {' | '.join([row.backend, *row.shown()])} |\n" for row in rows) + "\n"


def logs_table(rows: List[bench_logs.Row]) -> str:
    head = f"\n| {' | '.join(bench_logs.COLUMNS)} |\n|{'---|' * len(bench_logs.COLUMNS)}\n"
    return head + "".join(f"| {' | '.join(row.shown())} |\n" for row in rows) + "\n"


def _picture(ops: List[bench.Op]) -> str:
    height = TOP + ROW * len(ops) + 10
    bars = "\n".join(_bar(op, TOP + ROW * number) for number, op in enumerate(ops))
    one = LEFT + UNIT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{one + 120}" height="{height}"'
        ' font-family="sans-serif" font-size="12">\n'
        "<title>Instructions of each operation on Rust, where C is 1.0</title>\n"
        '<rect width="100%" height="100%" fill="#ffffff"/>\n'
        f"{bars}\n"
        f'<line x1="{one}" y1="{TOP - 8}" x2="{one}" y2="{height}" stroke="#c0392b"/>\n'
        f'<text x="{one}" y="{TOP - 14}" text-anchor="middle">C = 1.0</text>\n'
        "</svg>\n"
    )


def _bar(op: bench.Op, top: int) -> str:
    width = round(UNIT * op.ratio())
    middle = top + BAR - 2
    return (
        f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{op.name} ({op.size})</text>'
        f'<rect x="{LEFT}" y="{top}" width="{width}" height="{BAR}" fill="{COLOURS[op.scan]}"/>'
        f'<text x="{LEFT + max(width, 0) + 6}" y="{middle}">{op.ratio():.2f}</text>'
    )
