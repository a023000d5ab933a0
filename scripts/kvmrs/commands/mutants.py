# SPDX-License-Identifier: GPL-2.0
"""Changes one operator of the module at a time, and has the model's tests look for it.

cargo-mutants lists the changes. Nearly all of them are in one program, each behind a switch; it builds and
tests those that cannot be. As long as no source file changes, a run goes on where the last one was stopped.
"""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Counter as Counts, Dict, Iterator, List, Sequence, Tuple

from ..base import lock, paths, ui
from ..base.errors import KvmrsError
from ..build import model_copy
from ..stages import cargo_mutants, mutant_copy, mutant_switches, mutant_table
from ..stages.cargo_mutants import Mutant
from ..stages.mutant_run import Tests
from ..stages.mutant_verdicts import ALL, BROKEN, SURVIVES, Verdicts


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--shard", type=_part, metavar="K/N", help="part K of N, from 0 on")
    parser.add_argument("--re", type=_expression, metavar="REGEX", help="mutants whose names match")
    parser.add_argument("--iterate", action="store_true", help="those that were not killed last time")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="so many at a time; 1 if not given"
    )
    parser.add_argument(
        "--one-by-one", action="store_true", help="cargo-mutants builds and tests each, without switches"
    )


def main(options: Namespace) -> int:
    with lock.hold("trying mutants", "mutants"):
        files = mutant_copy.files()
        model_copy.sync(mutant_copy.tree(), files)
        mutants = cargo_mutants.mutants()
        chosen = [m for m in mutants if _is_chosen(m, options)]
        name = "verdicts-one-by-one" if options.one_by_one else "verdicts"
        verdicts = Verdicts(mutant_copy.folder() / name, mutant_copy.digest(files), options.iterate)
        earlier = verdicts.earlier(m.key for m in chosen)
        if not options.one_by_one and _left(chosen, verdicts):
            _with_switches(mutants, chosen, files, verdicts, options.jobs)
        _one_by_one(_left(chosen, verdicts), verdicts)
    return _judge(mutants, chosen, verdicts, earlier)


def _with_switches(
    mutants: Sequence[Mutant],
    chosen: Sequence[Mutant],
    files: Dict[str, bytes],
    verdicts: Verdicts,
    jobs: int,
) -> None:
    """Tries those that have a switch, and says of others that they do not compile."""
    switched = mutant_switches.build(mutants, files)
    for mutant in _left(chosen, verdicts):
        if mutant.number in switched.broken:
            verdicts.add(mutant.key, BROKEN)
    left = [m for m in _left(chosen, verdicts) if m.number not in switched.without]
    alone = len(switched.without)
    ui.say(
        f"{len(mutants)} mutants: {len(mutants) - alone - len(switched.broken)} with a switch,"
        f" {len(switched.broken)} do not compile, {alone} to be built by themselves"
    )
    if left:
        _run(Tests(switched.program), left, verdicts, jobs)


def _run(tests: Tests, mutants: Sequence[Mutant], verdicts: Verdicts, jobs: int) -> None:
    """Several at a time, in the order of the list."""
    with ui.step(f"trying {len(mutants)} mutants") as shown, ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda mutant: (mutant, tests.run(mutant.number, mutant.file)), mutants)
        for done, (mutant, outcome) in enumerate(found, 1):
            verdicts.add(mutant.key, outcome.what, outcome.seconds, outcome.how)
            shown.progress(done, len(mutants), mutant.name)


def _one_by_one(mutants: Sequence[Mutant], verdicts: Verdicts) -> None:
    """Those without a switch."""
    if not mutants:
        return
    try:
        cargo_mutants.try_each(mutants)
    finally:
        for mutant, verdict in cargo_mutants.verdicts(mutants):
            verdicts.add(mutant.key, verdict, how="built by itself")


def _judge(mutants: Sequence[Mutant], chosen: Sequence[Mutant], verdicts: Verdicts, earlier: int) -> int:
    """Prints the counts, and what does not agree with the document."""
    left = _left(chosen, verdicts)
    if left:
        raise KvmrsError(f"{len(left)} mutants have no verdict", details="\n".join(m.name for m in left))
    _write(chosen, verdicts)
    rows = _counts(chosen, verdicts)
    print(*(_line(["folder", "mutants", *ALL]), "|---" * (len(ALL) + 2) + "|", *rows), sep="\n")
    print(f"mutants: {len(chosen)} of {len(mutants)}, {earlier} of them in earlier runs")
    survivors = [m for m in chosen if _what(m, verdicts) == SURVIVES]
    wrong = mutant_table.complaints(survivors, mutants, mutant_table.DOCUMENT.read_text())
    if wrong:
        print(*wrong, sep="\n")
    return 1 if wrong else 0


def _write(chosen: Sequence[Mutant], verdicts: Verdicts) -> None:
    """Each mutant, its verdict, and the test that found it."""
    found = ((mutant, verdicts.of(mutant.key)) for mutant in chosen)
    lines = [f"{v.what}\t{m.name}\t{v.how}\t{v.seconds:.2f}" for m, v in found if v]
    (paths.out() / "mutants.txt").write_text("\n".join([*lines, ""]))


def _counts(chosen: Sequence[Mutant], verdicts: Verdicts) -> Iterator[str]:
    """As the document has them."""
    counts: Dict[str, Counts[str]] = {}
    for mutant in chosen:
        for folder in (_folder(mutant), "all"):
            counts.setdefault(folder, Counter())[_what(mutant, verdicts)] += 1
    for folder, count in sorted(counts.items(), key=lambda each: (each[0] == "all", each[0])):
        yield _line([folder, str(sum(count.values())), *(str(count[what]) for what in ALL)])


def _folder(mutant: Mutant) -> str:
    file = mutant_copy.original(mutant.file)
    inside = "tdp_mmu/inside/"
    return inside if file.startswith(inside) else f"{file.split('/')[0]}/"


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(words) + " |"


def _what(mutant: Mutant, verdicts: Verdicts) -> str:
    found = verdicts.of(mutant.key)
    return found.what if found else ""


def _left(mutants: Sequence[Mutant], verdicts: Verdicts) -> List[Mutant]:
    """Those that are still to be tried."""
    return [mutant for mutant in mutants if not verdicts.of(mutant.key)]


def _is_chosen(mutant: Mutant, options: Namespace) -> bool:
    part, parts = options.shard or (0, 1)
    return mutant.number % parts == part and (not options.re or bool(re.search(options.re, mutant.name)))


def _part(word: str) -> Tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", word, re.ASCII)
    if not found or int(found[1]) >= int(found[2]):
        raise ArgumentTypeError(f"{word!r} is no part such as 0/8")
    return int(found[1]), int(found[2])


def _expression(word: str) -> str:
    try:
        re.compile(word)
    except re.error as error:
        raise ArgumentTypeError(f"{word!r} is no regular expression: {error}") from error
    return word
