"""Real repositories for tests, made with the real git."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.org",
    "GIT_COMMITTER_NAME": "Alice",
    "GIT_COMMITTER_EMAIL": "alice@example.org",
}


def git(where: Path, *words: str) -> str:
    """Run git in `where` and return what it says."""
    done = subprocess.run(
        ["git", *words], cwd=where, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def make_repository(where: Path, files: dict[str, str] | None = None) -> Path:
    """Make a repository with one commit of `files` on the branch main: a copy of the first such one."""
    shutil.copytree(_model(tuple((files or {"README": "hello\n"}).items())), where, dirs_exist_ok=True)
    git(where, "update-index", "--refresh")
    return where


_MODELS = TemporaryDirectory(prefix="aura-models-")


@cache
def _model(files: tuple[tuple[str, str], ...]) -> Path:
    """Make a repository to copy, which is faster than to make one."""
    where = Path(tempfile.mkdtemp(dir=_MODELS.name))
    git(where, "init", "-q", "-b", "main", "--template=")
    for name, text in files:
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "first")
    return where


def content(repository: Path, revision: str, path: str) -> str:
    """Return a file as it is in `revision`."""
    return git(repository, "show", f"{revision}:{path}")


def branches(repository: Path) -> set[str]:
    """Return the names of all branches."""
    return set(git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads").split())


def worktrees(repository: Path) -> list[str]:
    """Return the paths of the linked worktrees."""
    lines = git(repository, "worktree", "list", "--porcelain").splitlines()
    return [line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")][1:]
