"""What a worktree holds that staging everything, and committing it, does not record."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from aura_contracts.workspace import Unrecorded, UnrecordedKind
from aura_git.commandline._output import paths
from aura_git.files._changes import DENIED, is_changed, require_readable
from aura_git.files._gitlinks import filled, gitlinks
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository

_LEFT = re.compile(r"([0-9a-f]{40,64}) [0-9a-f]{40,64} .*\tcheckout: moving from ([0-9a-f]{7,64}) to ")
"""A line of HEAD's log about leaving a commit that no branch was at."""


def unrecorded(repository: GitRepository) -> tuple[Unrecorded, ...]:
    """See `GitFiles.unrecorded`."""
    listed = repository.on_files(
        *("status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignored=matching"),
        *("--no-renames", "--ignore-submodules=all"),
    )
    if DENIED in listed.err:
        require_readable(repository)
    records = paths(listed.out)
    inside = {record[2:] for record in records if record.startswith("? ") and record.endswith("/")}
    found = [Unrecorded(kind=UnrecordedKind.REPOSITORY, path=path) for path in inside | _worktrees_inside(repository)]
    found += _submodules(repository)
    ignored = [record[2:] for record in records if record.startswith("! ")]
    found += [
        Unrecorded(kind=UnrecordedKind.IGNORED, path=path)
        for path in ignored
        if not (_is_in_cache(repository.path, path) or _is_reproducible(os.path.join(repository.path, path)))
    ]
    return tuple(sorted(found, key=lambda one: (one.kind, one.path)))


def _worktrees_inside(repository: GitRepository) -> set[str]:
    """Return the worktrees of the same repository inside, whose files are not its own."""
    top = os.path.realpath(repository.path) + os.sep
    trees = (os.path.realpath(_paths.worktree_of(one)) for one in _paths.git_dirs(repository.common_dir))
    return {f"{tree.removeprefix(top)}/" for tree in trees if tree.startswith(top) and os.path.isdir(tree)}


def _submodules(repository: GitRepository) -> Iterator[Unrecorded]:
    """Yield the submodules with changes of their own that are not committed in them, at any depth."""
    for link in gitlinks(repository):
        inner = filled(repository, link.path)
        if inner is None:
            continue
        if is_changed(inner):
            yield Unrecorded(kind=UnrecordedKind.SUBMODULE, path=link.path)
        for deeper in _submodules(inner):
            yield Unrecorded(kind=deeper.kind, path=f"{link.path}/{deeper.path}")


def _is_in_cache(top: str, path: str) -> bool:
    """Whether a folder above is a cache by its own tag: some ignore their content, but not themselves."""
    above = list(Path(path).parents)[:-1]
    return any(os.path.lexists(os.path.join(top, folder, "CACHEDIR.TAG")) for folder in above)


def _is_reproducible(place: str) -> bool:
    """Whether programs make it again: a cache by its own tag, installed packages, byte code.

    A cache folder says so with ``CACHEDIR.TAG`` (the Cache Directory Tagging Specification), a virtual environment with
    ``pyvenv.cfg`` (PEP 405).
    """
    name = os.path.basename(place.rstrip("/"))
    if not place.endswith("/"):
        return name.endswith((".pyc", ".pyo"))
    if name in {"node_modules", "__pycache__"}:
        return True
    if any(os.path.lexists(os.path.join(place, proof)) for proof in ("CACHEDIR.TAG", "pyvenv.cfg")):
        return True
    try:
        with os.scandir(place) as entries:
            content = [f"{one.path}/" if one.is_dir(follow_symlinks=False) else one.path for one in entries]
    except OSError:
        return False
    return all(_is_reproducible(one) for one in content)


def left_commits(repository: GitRepository) -> list[str]:
    """Return commits that HEAD was at without a branch, and that no ref has, newest first."""
    log = Path(repository.git_dir, "logs", "HEAD")
    lines = log.read_text("utf-8", "replace").splitlines() if log.is_file() else []
    found = [match for line in reversed(lines) if (match := _LEFT.match(line)) and match[1].startswith(match[2])]
    candidates = dict.fromkeys(match[1] for match in found)
    return [commit for commit in candidates if _is_left(repository, commit)]


def _is_left(repository: GitRepository, commit: str) -> bool:
    done = repository.git("rev-list", "--max-count=1", commit, "--not", "--all", codes=range(256))
    return done.code == 0 and bool(done.text)


def keep_left_commits(repository: GitRepository, prefix: str) -> tuple[str, ...]:
    """See `GitFiles.keep_left_commits`."""
    for commit in left_commits(repository):
        repository.git("update-ref", "-m", "left on no branch", f"{prefix}/{commit[:16]}", commit)
    listed = repository.git("for-each-ref", "--format=%(objectname)", "--no-merged=HEAD", f"{prefix}/").text
    return tuple(listed.splitlines())
