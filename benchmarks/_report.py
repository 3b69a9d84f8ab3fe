"""How a benchmark is measured and told: subject and reference in turn, medians, a ratio and its floor."""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

ROUNDS = 5
"""Rounds that count; one before them warms up."""


class Row(NamedTuple):
    """One line of a report. `floor` is what `ratio` must reach; with `ceiling` it is what `ratio` must not exceed."""

    name: str
    value: float
    unit: str
    reference: str
    ratio: float
    floor: float | None
    ceiling: bool = False

    @property
    def ok(self) -> bool:
        """Whether the floor holds (or the ceiling)."""
        if self.floor is None:
            return True
        return self.ratio <= self.floor if self.ceiling else self.ratio >= self.floor


def alternate(*cases: Callable[[], float], rounds: int = ROUNDS) -> list[float]:
    """Run the cases in turn, a warm-up round first; return the median of what each returned."""
    seen: list[list[float]] = [[] for _ in cases]
    for number in range(rounds + 1):
        for results, case in zip(seen, cases, strict=True):
            value = case()
            if number:
                results.append(value)
    return [statistics.median(results) for results in seen]


def main(description: str, measure: Callable[..., Iterable[Row]], *, size: int | None = None) -> None:
    """Measure and print, as a table or (``--json``) a line per row; exit with 1 when a row is under its floor.

    With a `size`, in MB, there is an option ``--size`` whose default it is, and `measure` is given what was chosen.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    if size is not None:
        parser.add_argument("--size", type=int, default=size, metavar="MB", help=f"of the input; {size} if not given")
    options = parser.parse_args()
    as_json = options.json
    failed = False
    if not as_json:
        print(f"{description}\n\n{'':34} {'value':>12} {'':10} {'ratio':>8} {'floor':>8}   reference")
    for row in measure() if size is None else measure(options.size):
        failed |= not row.ok
        if as_json:
            print(json.dumps({**row._asdict(), "ok": row.ok}), flush=True)
        else:
            bound = "" if row.floor is None else f"{'≤' if row.ceiling else '≥'}{row.floor:g}"
            verdict = "" if row.ok else "   UNDER ITS FLOOR" if not row.ceiling else "   OVER ITS CEILING"
            line = (
                f"{row.name:34} {row.value:12,.0f} {row.unit:10} {row.ratio:8.2f} {bound:>8}   {row.reference}{verdict}"
            )
            print(line, flush=True)
    sys.exit(failed)
