# SPDX-License-Identifier: GPL-2.0
"""How the demo looks: phases, notes, and a table of KVM's figures that updates itself.

On a terminal the last row of the table is live. Elsewhere a row is printed now and then, and
before anything else is said.
"""

import itertools
import sys
import time
from typing import Dict, List, Tuple

from ..base import ui
from . import accel, boot

PHASES = {
    "module": "kvm_rs.ko is loaded",
    "boot": "QEMU starts, the guest boots",
    "work": "the guest writes and verifies memory, which the host moves; fills and drops its page cache",
    "log-on": "dirty logging on under load, as for live migration: huge pages are split",
    "log-off": "dirty logging off: huge pages are recovered in place",
    "shutdown": "the guest shuts down",
    "harvest": "a vCPU faults while the log of 1 GiB is harvested, on C and on Rust in turns",
    "after": "what is left",
}
MOMENTS = {
    "before": "before dirty logging",
    "during": "while dirty pages are logged",
    "after": "after dirty logging",
}
COLUMNS = (
    ("4K", "pages_4k"),
    ("2M", "pages_2m"),
    ("1G", "pages_1g"),
    ("faults", "pf_taken"),
    ("flushes", "remote_tlb_flush"),
    ("fixed", "pf_fixed"),
    ("fast", "pf_fast"),
)
"""The first ones are shown where the screen is narrow."""
LEGEND = (
    "(pages mapped for the guest, by size; page faults; TLB flushes; faults that were fixed, and"
    " those fixed without a lock)"
)
CLOCK, NARROW, WIDE = 9, 7, 10
"""Columns of the time, and of a figure on screens of 40 and of 80 columns."""
SOME_TIME = 3.0
"""Seconds between two rows where there is no terminal."""
SHOWN_CHANGES = ("log-on", "log-off")
"""In these phases every change of the 2M pages gets a row of its own."""


class View:
    """Shows events as they come."""

    def __init__(self, chosen: accel.Accelerator, module: str) -> None:
        self._chosen = chosen
        self._module = module
        self._live = sys.stdout.isatty()
        self._start = time.monotonic()
        self._phase = ""
        self._row = ""
        self._numbers = ""
        self._printed_numbers = ""
        self._huge = 0
        self._printed = 0.0
        self._has_legend = False

    def on_event(self, event: boot.Event) -> None:
        kind = event["ev"]
        if kind == "ready":
            self._start = time.monotonic()
            self._facts(event["facts"])
        elif kind == "phase":
            self._begin(event["phase"])
        elif kind == "figures":
            self._figures(event["values"])
        elif kind == "guest":
            self._say(f"guest: {event['line']}")
        elif kind == "note":
            self._say(event["line"])
        elif kind == "map":
            self._map(event["moment"], event["text"])
        elif kind == "output":
            self._say(f"| {event['line']}")

    def _map(self, moment: str, text: str) -> None:
        """As it is, if the screen is wide enough. The legend comes last, and once is enough."""
        roots, legend = text.strip().rsplit("\n\n", 1)
        self._keep_row()
        ui.say("")
        ui.say_wrapped(" " * 10, f"the guest's memory {MOMENTS[moment]}:")
        if max(map(len, text.splitlines())) > ui.width():
            ui.say_wrapped(" " * 10, "(the screen is too narrow for it)")
            return
        ui.say(roots if self._has_legend else f"{roots}\n\n{legend}")
        ui.say("")
        self._has_legend = True

    def close(self) -> None:
        """Leaves the terminal as it should be, however the machine ended."""
        self._keep_row()

    def _facts(self, facts: Dict[str, str]) -> None:
        paging = "AMD NPT" if facts["npt"] in ("Y", "1") else "Intel EPT"
        memory = f"{int(facts['memory_kb']) >> 10} MiB of memory"
        ui.say("")
        ui.say_wrapped("host     ", f"Linux {facts['kernel']}, CPUs {facts['cpus']}, {memory}")
        ui.say_wrapped("runs on  ", self._runs_on())
        state = "on" if facts["tdp_mmu"] == "Y" else "off"
        ui.say_wrapped("paging   ", f"{paging}, KVM's TDP MMU is {state}")
        ui.say_wrapped("module   ", self._module)

    def _runs_on(self) -> str:
        if self._chosen.name == "kvm":
            return f"kvm: {self._chosen.why}"
        return "tcg, an emulator: what happens is real, but the times say nothing about hardware"

    def _begin(self, name: str) -> None:
        self._keep_row()
        self._phase = name
        ui.say("")
        ui.say_wrapped(f"{self._elapsed():6.1f} s  ", PHASES[name])
        if name == "boot":
            ui.say_wrapped(" " * 10, LEGEND)
            ui.say("\n" + " " * CLOCK + "".join(f"{title:>{size}}" for title, _, size in _columns()))

    def _say(self, text: str) -> None:
        self._keep_row()
        ui.say_wrapped(" " * 10, text)

    def _figures(self, values: Dict[str, int]) -> None:
        """On a terminal the latest row overwrites the one before, unless that is to be seen."""
        huge = values["pages_2m"]
        if self._phase in SHOWN_CHANGES and huge != self._huge:
            self._keep_row()
        self._huge = huge
        self._numbers = "".join(f"{values[key]:>{size}}" for _, key, size in _columns())
        self._row = f"{self._elapsed():6.1f} s {self._numbers}"
        if self._live:
            print(f"\r\033[K{self._row}", end="", flush=True)
        elif time.monotonic() - self._printed > SOME_TIME:
            self._keep_row()

    def _keep_row(self) -> None:
        """What is said next must not wipe out the last figures, unless they stand there already."""
        if self._row and self._numbers != self._printed_numbers:
            ui.say(self._row)
            self._printed = time.monotonic()
            self._printed_numbers = self._numbers
        self._row = ""

    def _elapsed(self) -> float:
        return time.monotonic() - self._start


def _columns() -> List[Tuple[str, str, int]]:
    """(title, figure, width): as many as the screen has room for, apart from each other."""
    room = ui.width() - CLOCK
    size = WIDE if room >= WIDE * len(COLUMNS) else max(NARROW, room // len(COLUMNS))
    sized = [(title, key, max(size, len(title) + 1)) for title, key in COLUMNS]
    widths = list(itertools.accumulate(size for _, _, size in sized))
    return [column for column, end in zip(sized, widths) if end <= room]
