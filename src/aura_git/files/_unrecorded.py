"""What a worktree holds that staging everything, and committing it, does not record."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from aura_contracts.errors import GitFailed, NotARepository
from aura_contracts.file_paths import is_below, relative
from aura_contracts.ports.git_values import Inventory
from aura_contracts.workspace import Unrecorded, UnrecordedKind
from aura_git.commandline._output import paths
from aura_git.files._changes import list_changes, read_status
from aura_git.files._gitlinks import filled, gitlinks
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository

_LEFT = re.compile(r"([0-9a-f]{40,64}) [0-9a-f]{40,64} .*\tcheckout: moving from ([0-9a-f]{7,64}) to ")
"""A line of HEAD's log about leaving a commit that no branch was at."""

_MADE = re.compile(
    r"[0-9a-f]{40,64} ([0-9a-f]{40,64}) .*\t(?:(?:commit|cherry-pick|revert|am)\b|merge .*: Merge made"
    r"|rebase[^:]*\((?:pick|reword|edit|squash|fixup|continue)\))"
)
"""A line of HEAD's log about a commit that was made."""

_MOVED = re.compile(r"\tcheckout: moving from (\S+) to (\S+)$")
"""The end of a line of HEAD's log about leaving a branch, or a commit."""

_TIME = re.compile(r"> (\d+) \S+(?:\t|$)")
"""The time of a line."""

_STASHED = re.compile(r"[0-9a-f]{40,64} ([0-9a-f]{40,64}) .*> (\d+) \S+\t(?:WIP on|On) ([^:]+): ")
"""A line of the log of stashes: the commit, the time, and the branch."""


def inventory(repository: GitRepository) -> Inventory:
    """See `GitFiles.inventory`."""
    listed = list_changes(repository, "--ignored=matching")
    return Inventory(status=read_status(repository, listed), unrecorded=_unrecorded(repository, paths(listed.out)))


def _unrecorded(repository: GitRepository, records: list[str]) -> tuple[Unrecorded, ...]:
    inside = {record[2:] for record in records if record.startswith("? ") and record.endswith("/")}
    found = [Unrecorded(kind=UnrecordedKind.REPOSITORY, path=path) for path in inside | _worktrees_inside(repository)]
    found += _submodules(repository)
    found += [Unrecorded(kind=UnrecordedKind.IGNORED, path=path) for path in _ignored(repository, records)]
    return tuple(sorted(found, key=lambda one: (one.kind, one.path)))


def _ignored(repository: GitRepository, records: Iterable[str]) -> Iterator[str]:
    """Yield what is ignored, and no program makes again."""
    for path in (record[2:] for record in records if record.startswith("! ")):
        if not (_is_in_cache(repository.path, path) or _is_reproducible(os.path.join(repository.path, path))):
            yield path


def _worktrees_inside(repository: GitRepository) -> set[str]:
    """Return the worktrees of the same repository inside, whose files are not its own."""
    top = os.path.realpath(repository.path)
    trees = (os.path.realpath(_paths.worktree_of(one)) for one in _paths.git_dirs(repository.common_dir))
    return {f"{relative(tree, top)}/" for tree in trees if is_below(tree, top) and os.path.isdir(tree)}


def _submodules(repository: GitRepository) -> Iterator[Unrecorded]:
    """Yield the submodules with changes that are not committed in them, and what they ignore, at any depth."""
    for path, inner in _filled_submodules(repository):
        try:
            records = paths(list_changes(inner, "--ignored=matching").out)
        except (GitFailed, NotARepository):  # it is damaged
            records = ["? "]
        if not all(record.startswith("! ") for record in records):
            yield Unrecorded(kind=UnrecordedKind.SUBMODULE, path=path)
        for ignored in _ignored(inner, records):
            yield Unrecorded(kind=UnrecordedKind.IGNORED, path=f"{path}/{ignored}")


def _filled_submodules(repository: GitRepository, above: str = "") -> Iterator[tuple[str, GitRepository]]:
    """Yield the submodules that are not empty, with their paths, at any depth."""
    for link in gitlinks(repository):
        inner = filled(repository, link.path)
        if inner is not None:
            yield f"{above}{link.path}", inner
            yield from _filled_submodules(inner, f"{above}{link.path}/")


def _is_in_cache(top: str, path: str) -> bool:
    """Whether a folder above is a cache by its own tag: some ignore their content, but not themselves."""
    above = list(Path(path).parents)[:-1]
    return any(os.path.lexists(os.path.join(top, folder, "CACHEDIR.TAG")) for folder in above)


def _is_reproducible(place: str) -> bool:
    """Whether programs make it again: a cache by its own tag, installed packages, byte code.

    A cache folder says so with ``CACHEDIR.TAG`` (the Cache Directory Tagging Specification), a virtual environment with
    ``pyvenv.cfg`` (PEP 405).
    """
    left = [place]  # not by recursion: an agent may have nested thousands of folders
    while left:
        place = left.pop()
        if not place.endswith("/"):
            if not place.endswith((".pyc", ".pyo")):
                return False
        elif not _is_remade(place):
            try:
                with os.scandir(place) as entries:
                    left += [f"{one.path}/" if one.is_dir(follow_symlinks=False) else one.path for one in entries]
            except OSError:
                return False
    return True


def _is_remade(folder: str) -> bool:
    return os.path.basename(folder.rstrip("/")) in {"node_modules", "__pycache__"} or any(
        os.path.lexists(os.path.join(folder, proof)) for proof in ("CACHEDIR.TAG", "pyvenv.cfg")
    )


def empty_folders(repository: GitRepository) -> tuple[str, ...]:
    """See `GitFiles.empty_folders`."""
    listed = repository.git("ls-files", "-z", "--others", "--directory", "--exclude-standard")
    found = [path for path in paths(listed.out) if path.endswith("/")]
    return tuple(path for path in found if not any(files for _, _, files in os.walk(f"{repository.path}/{path}")))


def left_commits(repository: GitRepository) -> list[str]:
    """Return commits that HEAD was at without a branch, and that no ref has, newest first."""
    lines = _log(repository.git_dir, "HEAD")
    found = [match for line in reversed(lines) if (match := _LEFT.match(line)) and match[1].startswith(match[2])]
    candidates = dict.fromkeys(match[1] for match in found)
    return [commit for commit in candidates if _is_left(repository, commit)]


def _is_left(repository: GitRepository, commit: str) -> bool:
    done = repository.git("rev-list", "--max-count=1", commit, "--not", "--all", codes=range(256))
    return done.code == 0 and bool(done.text)


def _log(directory: str, ref: str) -> list[str]:
    with suppress(OSError):
        return _paths.read_file(os.path.join(directory, "logs", ref)).decode(errors="replace").splitlines()
    return []


def keep(repository: GitRepository, prefix: str) -> None:
    """Keep the commits that HEAD has left, each on a ref below `prefix`."""
    for commit in left_commits(repository):
        repository.git("update-ref", "-m", "left on no branch", f"{prefix}/{commit[:16]}", commit)


def keep_left_commits(repository: GitRepository, prefix: str) -> tuple[str, ...]:
    """See `GitFiles.keep_left_commits`."""
    keep(repository, prefix)
    return _kept(repository, prefix)


def unkept_left_commits(repository: GitRepository, prefix: str) -> tuple[str, ...]:
    """See `GitFiles.left_commits`."""
    return (*left_commits(repository), *_kept(repository, prefix))


def _kept(repository: GitRepository, prefix: str) -> tuple[str, ...]:
    if not repository.has_refs(prefix):
        return ()
    listed = repository.git("for-each-ref", "--format=%(objectname)", "--no-merged=HEAD", f"{prefix}/").text
    return tuple(listed.splitlines())


# --- Elsewhere --------------------------------------------------------------------------------------------------------


def elsewhere(repository: GitRepository) -> tuple[Unrecorded, ...]:
    """See `GitFiles.elsewhere`."""
    lines = _log(repository.git_dir, "HEAD")
    left = [match[1] for line in lines if (match := _MOVED.search(line))]
    made = [match[1] for line in lines if (match := _MADE.match(line))]
    found = [Unrecorded(kind=UnrecordedKind.STASH, path=commit) for commit in _stashed(repository, lines, left)]
    if left and made:
        holding = [f"--contains={commit}" for commit in made]
        options = ("--format=%(refname:short)", "--no-merged=HEAD", *holding)
        done = repository.git("for-each-ref", *options, "refs/heads/", codes=range(256))  # some may be gone
        found += [Unrecorded(kind=UnrecordedKind.BRANCH, path=name) for name in done.text.splitlines()]
    for path, inner in _filled_submodules(repository):
        if _has_commits_aside(inner):
            found.append(Unrecorded(kind=UnrecordedKind.ASIDE, path=path))
    return tuple(found)


def _stashed(repository: GitRepository, lines: list[str], left: list[str]) -> Iterator[str]:
    """Yield the stashes of this worktree: made on one of its branches, and not before it was."""
    if not (stashes := _log(repository.common_dir, "refs/stash")):
        return
    begun = min((int(match[1]) for line in lines[:1] if (match := _TIME.search(line))), default=0)
    branches = {(repository.head_branch() or "").removeprefix("refs/heads/"), "(no branch)", *left}
    for match in filter(None, map(_STASHED.match, stashes)):
        if int(match[2]) >= begun and match[3] in branches:
            yield match[1]


def _has_commits_aside(submodule: GitRepository) -> bool:
    """Whether a branch, a stash or a commit on no branch has commits that neither HEAD nor the remote has."""
    own = ("refs/heads/", "refs/stash", "refs/aura/left/")
    commits = submodule.git("for-each-ref", "--format=%(objectname)", *own).text
    if not commits:
        return False
    done = submodule.git("rev-list", "--max-count=1", *commits.split(), "--not", "HEAD", "--remotes", codes=range(256))
    return bool(done.text)
