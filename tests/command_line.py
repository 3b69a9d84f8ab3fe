"""Running ``aura`` in tests: the installed command in a process of its own, or `main` in this one."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from aura_cli.main import main
from repositories import make_repository

AURA = str(Path(sysconfig.get_path("scripts")) / "aura")

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("AURA_", "NO_COLOR"))}
"""The environment without what would change how ``aura`` behaves."""


class Answer(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The lines of stdout, each of which has to be a JSON object."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The last object on stderr, where each line has to be one."""
        return [json.loads(line) for line in self.err.splitlines()][-1]


def run_aura(
    *arguments: object, cwd: Path | None = None, timeout: float = 60, before: Sequence[str] = (), **environment: str
) -> Answer:
    """Run the installed command to its end; `before` is a command that runs it."""
    done = subprocess.run(
        [*before, AURA, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@contextmanager
def running_aura(*arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the installed command while the block runs."""
    with subprocess.Popen(
        [AURA, *map(str, arguments)],
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def call_aura(*arguments: object, **environment: str) -> Answer:
    """Run `main` in this process, with additions to its environment: some ten times as fast as the command."""
    out, err = (TextIOWrapper(BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with patch.dict(os.environ, environment), patch.multiple(sys, stdout=out, stderr=err):
        code = main(list(map(str, arguments)))
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Answer(code, *texts)


def move_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Call ``aura`` with the store and the home in `folder`, in the repository there; return the repository."""
    for name, value in {"AURA_HOME": "home", "AURA_STORE": "aura.db"}.items():
        monkeypatch.setenv(name, f"{'sqlite:///' if name == 'AURA_STORE' else ''}{folder / value}")
    monkeypatch.setenv("AURA_USER", "alice")
    repository = folder / "app"
    if not repository.exists():
        make_repository(repository)
    monkeypatch.chdir(repository)
    return repository
