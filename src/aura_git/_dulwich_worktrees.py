"""Linked worktrees, by the files that git keeps of them (gitrepository-layout(5), "worktrees")."""
# ruff: noqa: PTH100, PTH102, PTH103, PTH106, PTH108, PTH110, PTH112, PTH113, PTH114, PTH117, PTH118, PTH119, PTH120, PTH123, PTH208
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from dulwich.objects import ObjectID

from aura_contracts.errors import DirtyWorktree, GitFailed, WorktreeExists
from aura_contracts.ports.git import LinkedWorktree
from aura_git import _layout
from aura_git._dulwich_checkout import fill, force
from aura_git._dulwich_index import held
from aura_git._dulwich_places import is_git_dir, read_common_dir, read_link_file
from aura_git._dulwich_recording import status
from aura_git._dulwich_refs import existing_branch, log_head, read_head, refuse_used, resolve
from aura_git._dulwich_repository import HEAD, HEADS, SYMBOLIC, Opened

_MAKING = b"initializing"
"""What git writes into the lock of a worktree that it is about to make."""

# --- Looking ----------------------------------------------------------------------------------------------------------


def worktree_path(repo: Opened, directory: str) -> str | None:
    """Return the worktree that a git directory belongs to; None for a bare repository's and a broken one's."""
    if directory == repo.place.common_dir:
        return _main_path(repo)
    try:
        with open(os.path.join(directory, "gitdir"), "rb") as file:
            link = os.fsdecode(file.read().rstrip(b"\r\n"))
    except OSError:
        return None
    return os.path.normpath(os.path.dirname(os.path.join(directory, link))) if link else None


def _main_path(repo: Opened) -> str | None:
    """Return the main worktree; ``core.bare`` and ``core.worktree`` are of that one only."""
    config = repo.repo.get_config()
    with suppress(KeyError):
        return os.path.realpath(os.path.join(repo.place.common_dir, os.fsdecode(config.get((b"core",), b"worktree"))))
    with suppress(ValueError):
        if config.get_boolean((b"core",), b"bare"):
            return None
    if not repo.place.linked:
        return repo.place.worktree
    common = repo.place.common_dir
    return os.path.dirname(common) if os.path.basename(common) == ".git" else None


def listed(repo: Opened) -> tuple[LinkedWorktree, ...]:
    main, *linked = _layout.git_dirs(repo.place.common_dir)
    main_path = _main_path(repo)
    first = _entry(repo, main, main_path or main)
    if main_path is None:
        first = LinkedWorktree(path=main, head=None, branch=None, bare=True)
    others = [_entry(repo, directory, path) for directory in linked if (path := worktree_path(repo, directory))]
    return (first, *sorted(others, key=lambda tree: tree.path))


def _entry(repo: Opened, directory: str, path: str) -> LinkedWorktree:
    head = read_head(directory)
    branch: bytes | None = None
    if head.startswith(SYMBOLIC):
        branch = head[len(SYMBOLIC) :].strip()
        sha = repo.repo.refs.read_ref(branch)  # type: ignore[arg-type]
    else:
        sha = head or None
    linked = directory != repo.place.common_dir
    locked = linked and os.path.exists(os.path.join(directory, "locked"))
    return LinkedWorktree(
        path=path,
        head=None if sha is None else os.fsdecode(sha),
        branch=os.fsdecode(branch.removeprefix(HEADS)) if branch else None,
        locked=locked,
        prunable=linked and not locked and not os.path.lexists(os.path.join(path, ".git")),
    )


def _directory_of(repo: Opened, path: str) -> str | None:
    """Return the git directory of the linked worktree at `path`. The main one is refused."""
    real = os.path.realpath(path)
    main = _main_path(repo) or repo.place.common_dir
    if os.path.realpath(main) == real:
        raise repo.failure(f"{path} is the main worktree", "name a linked worktree")
    for directory in _layout.git_dirs(repo.place.common_dir)[1:]:
        found = worktree_path(repo, directory)
        if found is not None and os.path.realpath(found) == real:
            return directory
    return None


# --- Making -----------------------------------------------------------------------------------------------------------


def add(repo: Opened, path: str, branch: str) -> None:
    ref, sha = existing_branch(repo, branch)
    gone = _directory_of(repo, path) if not os.path.exists(os.path.join(path, ".git")) else None
    refuse_used(repo, ref, besides=gone)
    _add(repo, path, SYMBOLIC + ref, sha)


def add_detached(repo: Opened, path: str, commit: str) -> None:
    sha = resolve(repo, commit)
    _add(repo, path, sha, sha)


def _add(repo: Opened, path: str, head: bytes, sha: ObjectID) -> None:
    tree = repo.tree(sha)
    with _place_for(repo, path):
        real = os.path.realpath(path)
        directory = _new_directory(repo, os.path.basename(real))
        try:
            _write(os.path.join(directory, "gitdir"), os.fsencode(os.path.join(real, ".git")))
            _write(os.path.join(directory, "commondir"), b"../..")
            _write(os.path.join(directory, "HEAD"), head)
            _write(os.path.join(real, ".git"), b"gitdir: " + os.fsencode(directory))
            with repo.another(real) as made, held(made) as lock:
                fill(made, lock, tree)
                log_head(made, None, sha, "worktree: created")
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            _remove_if_empty(os.path.dirname(directory))
            raise
        os.unlink(os.path.join(directory, "locked"))


def _new_directory(repo: Opened, name: str) -> str:
    """Make a git directory of its own for a worktree, locked until that is made."""
    parent = os.path.join(repo.place.common_dir, "worktrees")
    os.makedirs(parent, exist_ok=True)
    wanted = re.sub(r"[^A-Za-z0-9._+-]+|\.lock$|\.\.+|^\.", "-", name).strip(".") or "worktree"
    for number in range(1_000_000):
        directory = os.path.join(parent, wanted + (str(number) if number else ""))
        with suppress(FileExistsError):
            os.mkdir(directory)
            _write(os.path.join(directory, "locked"), _MAKING)
            return directory
    raise repo.failure(f"there are too many worktrees called {wanted}")


def _write(path: str, line: bytes) -> None:
    with open(path, "wb") as file:
        file.write(line + b"\n")


@contextmanager
def _place_for(repo: Opened, path: str) -> Iterator[None]:
    """Claim the folder at `path` for the time of making a worktree in it; on failure leave nothing of it.

    What git still knows of an earlier worktree there, whose folder is gone, is forgotten first.
    """
    made: list[str] = []
    missing = path
    while not os.path.lexists(missing):
        made.append(missing)
        missing = os.path.dirname(missing)
    try:
        os.makedirs(path, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        if path in made:
            raise
        raise WorktreeExists(repository=repo.asked, path=path) from None
    if os.path.islink(path) or os.listdir(path):
        raise WorktreeExists(repository=repo.asked, path=path)
    try:
        _forget(repo, path)
        yield
    except BaseException:
        _empty(path)
        for folder in made:
            _remove_if_empty(folder)
        raise


def _empty(folder: str) -> None:
    with suppress(OSError):
        for item in list(os.scandir(folder)):
            if item.is_dir(follow_symlinks=False):
                shutil.rmtree(item.path, ignore_errors=True)
            else:
                os.unlink(item.path)


def _remove_if_empty(folder: str) -> None:
    with suppress(OSError):
        os.rmdir(folder)


def _forget(repo: Opened, path: str) -> None:
    """Remove what git knows of a worktree of which nothing is left."""
    directory = _directory_of(repo, path)
    if directory is None:
        return
    if _is_locked(directory):
        raise repo.failure(f"the worktree at {path} is gone, but locked", f"git worktree unlock {path}")
    shutil.rmtree(directory)
    _remove_if_empty(os.path.dirname(directory))


def _is_locked(directory: str) -> bool:
    """Whether somebody has locked the worktree; what was left half made by a crash is not."""
    try:
        with open(os.path.join(directory, "locked"), "rb") as file:
            return file.read(64).strip() != _MAKING
    except OSError:
        return False


# --- Using again ------------------------------------------------------------------------------------------------------


def switch(repo: Opened, branch: str) -> None:
    ref, sha = existing_branch(repo, branch)
    refuse_used(repo, ref, besides=repo.place.git_dir)
    tree = repo.tree(sha)
    inside = [path for d in _layout.git_dirs(repo.place.common_dir) if (path := worktree_path(repo, d))]
    with held(repo) as lock:
        old = repo.head()
        for name in _layout.STATE_OF_OPERATIONS:
            state = os.path.join(repo.place.git_dir, name)
            if os.path.isdir(state):
                shutil.rmtree(state)
            elif os.path.lexists(state):
                os.unlink(state)
        force(repo, lock, tree, spare=[os.path.realpath(p) for p in inside if p != repo.place.worktree])
        repo.repo.refs.set_symbolic_ref(HEAD, ref)  # type: ignore[arg-type]
        log_head(repo, old, sha, f"checkout: moving to {branch}")


# --- Moving and removing ----------------------------------------------------------------------------------------------


def move(repo: Opened, path: str, to: str) -> None:
    if os.path.lexists(to):
        raise WorktreeExists(repository=repo.asked, path=to)
    directory = _directory_of(repo, path)
    if directory is None or not os.path.isdir(path):
        raise _no_worktree(repo, path)
    if _is_locked(directory):
        raise repo.failure(f"the worktree at {path} is locked", f"git worktree unlock {path}")
    os.makedirs(os.path.dirname(os.path.abspath(to)), exist_ok=True)
    shutil.move(path, to)
    _link(directory, os.path.realpath(to))


def _link(directory: str, path: str) -> None:
    """Let a worktree and its git directory point to one another; relative links stay relative."""
    dot = os.path.join(path, ".git")
    links = ((os.path.join(directory, "gitdir"), directory, dot, b""), (dot, path, directory, b"gitdir: "))
    for file_path, start, target, prefix in links:
        relative = False
        with suppress(OSError), open(file_path, "rb") as file:
            relative = not os.path.isabs(file.read().removeprefix(b"gitdir: ").strip() or b"/")
        written = os.path.relpath(target, start) if relative else target
        _write(file_path, prefix + os.fsencode(written))


def remove(repo: Opened, path: str, *, force: bool) -> None:
    directory = _directory_of(repo, path)
    if directory is None:
        if os.path.lexists(path):
            raise _no_worktree(repo, path)
        return
    if _is_locked(directory):
        raise repo.failure(f"the worktree at {path} is locked", f"git worktree unlock {path}")
    if os.path.lexists(path):
        if not force:
            _require_clean(repo, path)
        _remove_folder(path)
    shutil.rmtree(directory)
    _remove_if_empty(os.path.dirname(directory))


def _remove_folder(path: str) -> None:
    """Remove a worktree's folder, its link to the repository last: what a crash leaves is still a worktree."""
    for item in list(os.scandir(path)):
        if item.name == ".git":
            continue
        if item.is_dir(follow_symlinks=False):
            shutil.rmtree(item.path)
        else:
            os.unlink(item.path)
    shutil.rmtree(path)


def _require_clean(repo: Opened, path: str) -> None:
    with repo.another(path) as tree:
        if tree.place.common_dir != repo.place.common_dir or tree.place.worktree != os.path.realpath(path):
            raise _no_worktree(repo, path)
        found = status(tree)
    if found.dirty:
        touched = sorted({*found.staged, *found.unstaged, *found.untracked, *found.conflicted})
        raise DirtyWorktree(repository=repo.asked, worktree=path, paths=tuple(touched))


def _no_worktree(repo: Opened, path: str) -> GitFailed:
    return repo.failure(f"{path} is no linked worktree of this repository", "see `git worktree list`")


# --- Mending ----------------------------------------------------------------------------------------------------------


def prune(repo: Opened) -> None:
    for directory in _layout.git_dirs(repo.place.common_dir)[1:]:
        if os.path.exists(os.path.join(directory, "locked")):
            continue
        path = worktree_path(repo, directory)
        if path is None or not os.path.lexists(os.path.join(path, ".git")):
            shutil.rmtree(directory, ignore_errors=True)
    _remove_if_empty(os.path.join(repo.place.common_dir, "worktrees"))


def repair(repo: Opened, paths: Sequence[str]) -> None:
    """Mend from both ends: worktrees moved to `paths`, and worktrees whose repository was moved."""
    for path in paths:
        directory = _claimed_directory(repo, path)
        if directory is None:
            raise repo.failure(f"{path} is no worktree of this repository", "see `git worktree list`")
        _link(directory, os.path.realpath(path))
    for directory in _layout.git_dirs(repo.place.common_dir)[1:]:
        found = worktree_path(repo, directory)
        if found is None or not os.path.isfile(os.path.join(found, ".git")):
            continue
        target = read_link_file(os.path.join(found, ".git"))
        if target != directory and (target is None or not is_git_dir(target)):
            _link(directory, found)


def _claimed_directory(repo: Opened, path: str) -> str | None:
    """Return the git directory that the worktree at `path` belongs to, even where its link leads to an old place."""
    target = read_link_file(os.path.join(path, ".git"))
    if target is None:
        return None
    if is_git_dir(target) and read_common_dir(target) == repo.place.common_dir and target != repo.place.common_dir:
        return target
    moved = os.path.join(repo.place.common_dir, "worktrees", os.path.basename(target))
    return moved if not os.path.isdir(target) and is_git_dir(moved) else None
