"""Stream: lines from a child through ``aura run`` into durable storage, against an event loop that throws them away.

The reference is the shortest program that one would write: ``asyncio``, one process, ``readline`` in a loop. AURA's
time is that of the whole command, from its start to its end, everything printed and stored. Memory is that of the
largest process of ``aura run``, by what the kernel says of its children.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._report import Row, alternate, main

LINES = 1_000_000
FEW = 10_000
FLOOR = 0.3
MEMORY_CEILING = 1.5

PRINTER = """
import sys
line = b"x" * 199 + b"\\n"
count = int(sys.argv[1])
block = line * 500
for _ in range(count // 500):
    sys.stdout.buffer.write(block)
"""

REFERENCE = """
import asyncio, sys
async def main():
    child = await asyncio.create_subprocess_exec(*sys.argv[1:], stdout=asyncio.subprocess.PIPE)
    lines = 0
    while await child.stdout.readline():
        lines += 1
    await child.wait()
    assert lines == int(sys.argv[-1]), lines
asyncio.run(main())
"""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        printer = Path(folder) / "printer.py"
        printer.write_text(PRINTER)
        value, reference = alternate(
            lambda: LINES / _aura(Path(folder), printer, LINES), lambda: LINES / _reference(printer), rounds=3
        )
        yield Row(f"aura run, {LINES:,} lines", value, "lines/s", "asyncio readline", value / reference, FLOOR)
        many, few = _memory(Path(folder), printer, LINES), _memory(Path(folder), printer, FEW)
        name = f"peak memory, {LINES:,} lines"
        yield Row(name, many / 2**20, "MiB", f"{FEW:,} lines", many / few, MEMORY_CEILING, ceiling=True)


def _command(folder: Path, printer: Path, lines: int) -> tuple[list[str], dict[str, str], Path]:
    aura = str(Path(sysconfig.get_path("scripts")) / "aura")
    home = Path(tempfile.mkdtemp(dir=folder))
    place = home / "place"
    place.mkdir()
    words = ["--base-command", sys.executable]
    words += [word for value in (str(printer), str(lines)) for word in ("--param", value)]
    options = ["--executor", "custom", "--prompt", "ignored", *words, "--option", "prompt_via=env", "--no-tui"]
    return [aura, "run", *options], {**os.environ, "AURA_HOME": str(home / "home"), "AURA_USER": "bench"}, place


def _aura(folder: Path, printer: Path, lines: int) -> float:
    command, environment, place = _command(folder, printer, lines)
    with (place.parent / "out").open("wb") as out:
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=out, stdin=subprocess.DEVNULL, cwd=place, env=environment)
        seconds = time.perf_counter() - began
    printed = (place.parent / "out").read_bytes().count(b"[stdout] ")
    assert printed == lines, f"{printed} of {lines} lines were printed"
    return seconds


def _reference(printer: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", REFERENCE, sys.executable, str(printer), str(LINES)], check=True)
    return time.perf_counter() - began


_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def _memory(folder: Path, printer: Path, lines: int) -> int:
    """Return the peak memory of ``aura run`` in bytes, the supervisor's being less."""
    command, environment, place = _command(folder, printer, lines)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *command], check=True, capture_output=True, cwd=place, env=environment
    )
    unit = 1 if sys.platform == "darwin" else 1024
    return int(done.stdout) * unit


if __name__ == "__main__":
    main("Stream", measure)
