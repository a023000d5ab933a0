# SPDX-License-Identifier: GPL-2.0
"""How long operations on a dirty log make others wait, as a table and as a picture."""

from math import log10
from typing import List

from . import bench

LEFT, TOP, WIDTH, HEIGHT = 60, 20, 360, 240
"""Pixels of the frame: before it, above it, and its own."""
LOWEST, HIGHEST = 2, 7
"""Powers of ten at the bottom and at the top."""
COLOURS = {"c": "#c0392b", "rust": "#33658a"}
NAMES = {"c": "C", "rust": "Rust"}


def table(ops: List[bench.Op]) -> str:
    sizes = " | ".join(f"C x{scale} | Rust x{scale}" for scale in bench.SCALES)
    rule = "---|" * (1 + 2 * len(bench.SCALES))
    return f"\n| while | {sizes} |\n|{rule}\n" + "".join(map(_line, ops)) + "\n"


def _line(op: bench.Op) -> str:
    costs = [op.cost(backend, scale) for scale in bench.SCALES for backend in bench.BACKENDS]
    return f"| {' | '.join([op.name, *(f'{cost:.0f}' for cost in costs)])} |\n"


def picture(ops: List[bench.Op]) -> str:
    """Instructions over the size of the slot, both in powers."""
    lines = [_curve(op, backend) for op in ops for backend in bench.BACKENDS]
    names = [_name(number, backend) for number, backend in enumerate(bench.BACKENDS)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 120}"'
        f' height="{TOP + HEIGHT + 30}" font-family="sans-serif" font-size="12">\n'
        "<title>Instructions that others wait, over the size of the slot</title>\n"
        '<rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(_axes() + lines + names)
        + "\n</svg>\n"
    )


def _axes() -> List[str]:
    powers = [
        f'<line x1="{LEFT}" y1="{_y(10**power)}" x2="{LEFT + WIDTH}" y2="{_y(10**power)}" stroke="#dddddd"/>'
        f'<text x="{LEFT - 8}" y="{_y(10**power) + 4}" text-anchor="end">{10**power:,}</text>'
        for power in range(LOWEST, HIGHEST + 1)
    ]
    sizes = [
        f'<text x="{_x(scale)}" y="{TOP + HEIGHT + 20}" text-anchor="middle">x{scale}</text>'
        for scale in bench.SCALES
    ]
    return powers + sizes


def _curve(op: bench.Op, backend: str) -> str:
    costs = [op.cost(backend, scale) for scale in bench.SCALES]
    points = " ".join(f"{_x(scale)},{_y(cost)}" for scale, cost in zip(bench.SCALES, costs))
    return (
        f'<polyline points="{points}" fill="none" stroke="{COLOURS[backend]}" stroke-width="2">'
        f"<title>{op.name}, {NAMES[backend]}</title></polyline>"
    )


def _name(number: int, backend: str) -> str:
    return (
        f'<text x="{LEFT + WIDTH + 12}" y="{TOP + 20 * (number + 1)}" fill="{COLOURS[backend]}">'
        f"{NAMES[backend]}</text>"
    )


def _x(scale: int) -> int:
    return LEFT + round(WIDTH * (scale.bit_length() - 1) / (bench.LARGEST.bit_length() - 1))


def _y(cost: float) -> int:
    return TOP + round(HEIGHT * (HIGHEST - log10(max(cost, 10**LOWEST))) / (HIGHEST - LOWEST))
