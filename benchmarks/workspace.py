"""Workspace: from "start" to a ready worktree of a repository of 20,000 files, against ``git worktree add``.

A warm workspace takes its worktree from the pool, which was filled before; a cold one has it made. Whatever was written
before is on the disk (``sync``) before a case begins, so that none waits for another's files.
"""

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from aura_contracts.ids import WorkspaceId, uuid7_factory
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import Repository, workspace_branch
from aura_git import CommandLineGit
from aura_workspace import LocalWorkspaces
from benchmarks._report import Row, alternate, main

FILES = 20_000
ROUNDS = 5
WARM_FLOOR = 20
COLD_CEILING = 1.1
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    **{f"GIT_{who}_{what}": "bench@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}

new_id = uuid7_factory(lambda: 1_700_000_000_000, random.Random(1).getrandbits)
numbers = count()


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        repository = _repository(Path(folder) / "repository")
        workspaces = LocalWorkspaces(Path(folder) / "home", CommandLineGit(environment=ENVIRONMENT))
        plain, warm, parallel, cold = alternate(
            lambda: _worktree_add(repository),
            lambda: _prepare(workspaces, repository, warm=True),
            lambda: _worktree_add(repository, "-c", "checkout.workers=0"),
            lambda: _prepare(workspaces, repository, warm=False),
            rounds=ROUNDS,
        )
        name = f"{FILES:,} files"
        yield Row(f"{name}, warm pool", warm * 1000, "ms", "git worktree add", plain / warm, WARM_FLOOR)
        reference = "git -c checkout.workers=0 worktree add"
        yield Row(f"{name}, cold", cold * 1000, "ms", reference, cold / parallel, COLD_CEILING, ceiling=True)


def _prepare(workspaces: LocalWorkspaces, repository: Path, *, warm: bool) -> float:
    """Return the seconds that preparing takes."""
    if warm:
        workspaces.warm(str(repository), 1)
    workspace_id = WorkspaceId(new_id())
    spec = WorkspaceSpec(
        id=workspace_id,
        title="Benchmark",
        slug="benchmark",
        branch=workspace_branch(workspace_id, "benchmark"),
        repositories=(Repository("repository", str(repository), "main"),),
    )
    os.sync()
    began = time.perf_counter()
    made = workspaces.prepare(spec)
    seconds = time.perf_counter() - began
    assert bool(made.from_pool) is warm, "the case is not what it is called"
    workspaces.remove(spec, delete_branch=True)
    return seconds


def _worktree_add(repository: Path, *options: str) -> float:
    """Return the seconds that git takes by itself."""
    path, branch = repository.parent / "worktree", f"reference-{next(numbers)}"
    os.sync()
    began = time.perf_counter()
    _git(repository, *options, "worktree", "add", "-q", "-b", branch, str(path), "main")
    seconds = time.perf_counter() - began
    shutil.rmtree(path)
    _git(repository, "worktree", "prune")
    return seconds


def _repository(path: Path) -> Path:
    """Make a repository of files of 1 to 8 KiB, 50 to a folder."""
    chance = random.Random(1)
    for number in range(FILES):
        file = path / f"part{number // 1000}" / f"module{number // 50}" / f"file{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"value_{line} = {chance.random()}\n" for line in range(chance.randrange(30, 240))))
    _git(path, "init", "-q", "-b", "main")
    _git(path, "add", "-A")
    _git(path, "commit", "-q", "-m", "all of it")
    _git(path, "repack", "-q", "-a", "-d")
    return path


def _git(where: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=where, env=ENVIRONMENT, check=True)


if __name__ == "__main__":
    main("From start to a ready worktree", measure)
