"""Start-up: ``aura --version`` against a bare interpreter."""

import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._report import Row, alternate, main

CEILING = 8
RUNS = 10


def measure() -> Iterator[Row]:
    aura = str(Path(sysconfig.get_path("scripts")) / "aura")
    value, reference = alternate(lambda: _seconds([aura, "--version"]), lambda: _seconds([sys.executable, "-c", ""]))
    yield Row("aura --version", value * 1000, "ms", "python -c ''", value / reference, CEILING, ceiling=True)


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    for _ in range(RUNS):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - began) / RUNS


if __name__ == "__main__":
    main("Start-up", measure)
