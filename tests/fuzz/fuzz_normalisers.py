"""Looks for what a conversation does not stand, guided by the branches that are reached. Needs atheris.

    python tests/fuzz/fuzz_normalisers.py [--seconds 60] [NAME...]

NAMEs are those of `normalisers.subjects`, or the beginnings of some; without any, all of them. The time is shared by
them, each in a process of its own. It begins with the captures, and goes on with what was found before if there is a
folder for that: ``--corpus``. Exits with 1 if something was found; the input that shows it is left in the folder that
is named then, and is given again with ``--again FILE NAME``.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS_SHARE = 4
"""One in so many inputs is spoilt as Hypothesis' are, in its lines and values; the others in any byte."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=float, default=60, help="in all; 60 if not given")
    parser.add_argument("--corpus", type=Path, help="where inputs that reached something new are kept")
    parser.add_argument("--again", type=Path, metavar="FILE", help="an input that was found before")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return _fuzz(options.names[0], options.seconds, options.corpus)

    from normalisers import subjects

    names = [name for name in subjects() if not options.names or name.startswith(tuple(options.names))]
    if options.again:
        for name in names:
            _try(name, options.again.read_bytes())
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return _all(names, options.seconds / len(names), options.corpus or Path(folder))


def _all(names: list[str], seconds: float, corpus: Path) -> int:
    """Fuzz each in its own process: one that is found something of ends, the others go on."""
    broken = []
    for name in names:
        command = [sys.executable, __file__, "--child", "--seconds", str(seconds), "--corpus", str(corpus), name]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
        told = ended.stderr + ended.stdout
        runs = next((line for line in reversed(told.splitlines()) if line.startswith("Done ")), "")
        sys.stdout.write(f"{name:32} {'FAILED' if ended.returncode else 'well'}   {runs}\n")
        if ended.returncode:
            broken.append(name)
            sys.stdout.write(f"{told[-6_000:]}\n")
        sys.stdout.flush()
    return 1 if broken else 0


def _fuzz(name: str, seconds: float, corpus: Path) -> int:
    import atheris

    with atheris.instrument_imports(include=["aura_executors.agents", "aura_executors.scripted"]):
        import normalisers

    subject = normalisers.subjects()[name]
    folder = corpus / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(subject.seeds):
        (folder / f"seed{number}").write_bytes(bytes(4) + seed)
    found = Path(tempfile.mkdtemp(prefix=f"fuzz-{folder.name}-"))
    arguments = [
        sys.argv[0],
        f"-max_total_time={max(1, round(seconds))}",
        f"-artifact_prefix={found}/",
        "-max_len=30000",
        "-len_control=0",
        "-rss_limit_mb=2048",
        "-timeout=10",
        str(folder),
    ]
    atheris.Setup(arguments, lambda data: _try(name, data), custom_mutator=_mutator(atheris))
    atheris.Fuzz()  # ends the process
    return 0


def _mutator(atheris):
    """Return what makes a new input of one: bytes changed by the library, or lines and values by us."""
    from normalisers import KINDS, Mutation, spoilt

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        luck = random.Random(seed)
        if luck.randrange(KINDS_SHARE):
            return atheris.Mutate(data, len(data))
        mutations = [
            Mutation(luck.choice(KINDS), luck.getrandbits(16), luck.getrandbits(32)) for _ in range(luck.randint(1, 4))
        ]
        return (data[:4] + spoilt(data[4:], mutations))[:size]

    return mutate


def _try(name: str, data: bytes) -> None:
    """Prove it of an input: four bytes say what happens in between, the others are what the agent wrote."""
    from normalisers import Happening, prove, subjects

    head, written = data[:4].ljust(4, b"\0"), data[4:]
    luck = random.Random(head)
    kinds = ["answer", "interrupt", "trouble"]
    happenings = [Happening(luck.getrandbits(16), luck.choice(kinds), luck.random() < 0.5) for _ in range(head[0] % 4)]
    prove(subjects()[name], written, [luck.getrandbits(16) for _ in range(head[1] % 8)], happenings)


if __name__ == "__main__":
    sys.exit(main())
