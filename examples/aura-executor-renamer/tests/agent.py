"""The real agent: runs it as AURA would, without AURA. `CASES` are the runs whose output is kept in ``captures``."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import renamer

CAPTURES = Path(__file__).parent / "captures"


class Case(NamedTuple):
    """The input of a run."""

    prompt: str
    arguments: tuple[str, ...] = ()
    answers: tuple[dict[str, Any], ...] = ()
    done: tuple[tuple[str, str], ...] = ()
    """What was done in the session before."""


YES = {"allow": True}
NO = {"allow": False, "reason": "not this one"}

CASES = {
    "freely": Case("Please rename fetch to load.", ("--new-session=s-1",)),
    "allowed": Case("rename fetch to load", ("--ask", "--new-session=s-1"), (YES, YES)),
    "denied": Case("rename fetch to load", ("--ask", "--new-session=s-1"), (NO, YES)),
    "nothing_allowed": Case("rename fetch to load", ("--ask", "--new-session=s-1"), (NO, NO)),
    "undone": Case("undo that", ("--session=s-1",), done=(("load", "fetch"),)),
    "not_resumed": Case("undo that", ("--session=s-2",)),
    "refused": Case("Make it faster", ("--new-session=s-1",)),
    "stopped": Case("rename fetch to load", ("--ask", "--new-session=s-1"), ({"stop": True},)),
}


def written_by_agent(case: Case, folder: Path) -> bytes:
    """Return what the agent writes to standard output, in a folder with files to rename words in."""
    work, home = folder / "work", folder / "home"
    for path in (work / "src", home):
        path.mkdir(parents=True)
    (work / "src/api.py").write_text("def fetch():\n    return prefetch(fetch)\n")
    (work / "notes.txt").write_text("fetch: gets the contents")
    if case.done:
        (home / "s-1.json").write_text(json.dumps(case.done))
    told = [{"prompt": case.prompt}]
    told += [{"permission": f"p{number}", **answer} for number, answer in enumerate(case.answers, 1)]
    done = subprocess.run(
        [sys.executable, renamer.__file__, *case.arguments],
        cwd=work,
        env={**os.environ, "RENAMER_HOME": str(home)},
        input=b"".join(json.dumps(line).encode() + b"\n" for line in told),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b""), "it exits with 0 whatever happened"
    return done.stdout


def captured(name: str) -> bytes:
    """Return what the agent wrote when the capture was taken."""
    return (CAPTURES / f"{name}.jsonl").read_bytes()
