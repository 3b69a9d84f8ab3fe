"""Submodules of linked worktrees: filled from the repository's own copies, and their new commits kept in them.

The copy of a submodule is in ``modules/<name>`` of the common git directory, or in the submodule of the main worktree
if that has a ``.git`` folder of its own. A filled submodule borrows the objects of the copy, and is on the commit that
the worktree asks for. No network is needed, no command of the submodule's configuration is run, and no setting of the
repository is changed.
"""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from aura_contracts.errors import GitError, NotARepository
from aura_contracts.file_paths import is_below
from aura_git.commandline._output import GITLINK, TREE_DIFF, paths
from aura_git.files._gitlinks import Gitlink, filled, gitlinks
from aura_git.files._unrecorded import keep as keep_left
from aura_git.files._unrecorded import left_commits
from aura_git.repository import _paths
from aura_git.repository._discovery import main_worktree
from aura_git.repository._git_repository import GitRepository
from aura_git.worktrees._lifecycle import remove_content

# --- Copies -----------------------------------------------------------------------------------------------------------


def _names(repository: GitRepository, *source: str) -> dict[str, str]:
    """Return the names of submodules by path; `source` says where ``.gitmodules`` is, as options of ``git config``."""
    done = repository.git("config", "-z", *source, "--get-regexp", r"^submodule\..*\.path$", codes=range(256))
    names = {}
    for entry in paths(done.out) if done.code == 0 else ():
        key, _, path = entry.partition("\n")
        names[os.path.normpath(path)] = key.removeprefix("submodule.").removesuffix(".path")
    return names


def _named_links(repository: GitRepository) -> Iterator[tuple[Gitlink, str | None]]:
    """Yield the gitlinks in the index, each with its name as a submodule, if it is one."""
    if links := gitlinks(repository):
        names = _names(repository, "-f", os.path.join(repository.path, ".gitmodules"))
        yield from ((link, names.get(link.path)) for link in links)


def _copy_of(repository: GitRepository, path: str, name: str | None) -> GitRepository | None:
    """Return the repository's own copy of the submodule at `path`; None if it has none."""
    candidates = []
    modules = os.path.join(repository.common_dir, "modules")
    if name:
        candidates.append((modules, os.path.join(modules, name)))
    top = main_worktree(repository.main)
    if top is not None and os.path.isdir(os.path.join(top, path, ".git")):
        candidates.append((top, os.path.join(top, path, ".git")))
    for parent, place in candidates:
        real = os.path.realpath(place)
        with suppress(NotARepository):
            if is_below(real, os.path.realpath(parent)) and _paths.git_dir(real):
                return repository.module(real)
    return None


def _has(repository: GitRepository, commit: str) -> bool:
    return repository.git("cat-file", "-e", f"{commit}^{{commit}}", codes=range(256)).code == 0


# --- Filling ----------------------------------------------------------------------------------------------------------


def fill(repository: GitRepository) -> tuple[str, ...]:
    """See `GitSubmodules.fill_submodules`."""
    return tuple(_fill_below(repository, repository))


def _fill_below(worktree: GitRepository, owner: GitRepository) -> Iterator[str]:
    """Fill the submodules of a worktree from the copies that `owner` has; yield the paths of those that stay empty."""
    for link, name in _named_links(worktree):
        place = os.path.join(worktree.path, link.path)
        if filled(worktree, link.path) is not None or not os.path.isdir(place) or os.path.islink(place):
            continue
        copy = _copy_of(owner, link.path, name)
        if copy is None or not _has(copy, link.commit) or not _fill(worktree.at(place), copy, link.commit):
            yield link.path
        else:
            yield from (f"{link.path}/{path}" for path in _fill_below(worktree.at(place), copy))


def _fill(submodule: GitRepository, copy: GitRepository, commit: str) -> bool:
    """Make a repository that borrows the objects of `copy`, and check out `commit`; return whether that succeeded."""
    git_dir = Path(submodule.path, ".git")
    made = False
    try:
        if any(Path(submodule.path).iterdir()):
            return False
        made = True
        for folder in ("objects/info", "refs/heads"):
            (git_dir / folder).mkdir(parents=True)
        objects = os.path.join(copy.common_dir, "objects")
        (git_dir / "objects/info/alternates").write_bytes(os.fsencode(objects) + b"\n")
        (git_dir / "config").write_text(_configuration(copy), "utf-8")
        (git_dir / "HEAD").write_text(f"{commit}\n")
        _copy_refs(submodule, copy)
        if url := copy.configuration.get("remote.origin.url"):
            own = ("config", "--file", str(git_dir / "config"))  # not what stands in for it while it is pinned
            submodule.git(*own, "remote.origin.url", url)
            submodule.git(*own, "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
        submodule.on_files("read-tree", "--reset", "-u", commit)
    except (GitError, OSError):
        if made:
            remove_content(Path(submodule.path))
        return False
    return True


def _configuration(copy: GitRepository) -> str:
    kind = copy.configuration.get("extensions.objectformat") or "sha1"
    if kind == "sha1":
        return "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
    return f"[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectFormat = {kind}\n"


def _copy_refs(submodule: GitRepository, copy: GitRepository) -> None:
    """Give the submodule the branches of the remote and the tags that the copy knows."""
    listed = copy.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes/origin", "refs/tags").text
    lines = [line.split(" ", 1) for line in listed.splitlines() if not line.endswith("refs/remotes/origin/HEAD")]
    stdin = "".join(f"create {ref} {name}\n" for name, ref in lines)
    submodule.git("update-ref", "--stdin", stdin=os.fsencode(stdin))


# --- Keeping commits --------------------------------------------------------------------------------------------------


def keep(repository: GitRepository, name: str) -> dict[str, str]:
    """See `GitSubmodules.keep_submodules`."""
    return dict(_unkept(repository, partial(_fetch_new, name)))


def unkept(repository: GitRepository) -> tuple[str, ...]:
    """See `GitSubmodules.unkept_submodules`."""
    return tuple(path for path, _ in _unkept(repository, _not_kept))


_KeptCheck = Callable[[GitRepository, GitRepository | None, str | None], str | None]
"""Returns why neither the remote of a submodule, nor its copy, nor the pin keeps all its commits; None if one does."""


def _unkept(repository: GitRepository, check: _KeptCheck) -> Iterator[tuple[str, str]]:
    yield from _filled_submodules(repository, repository, check)
    yield from _absorbed_submodules(repository, check)


def _filled_submodules(
    worktree: GitRepository, owner: GitRepository | None, check: _KeptCheck
) -> Iterator[tuple[str, str]]:
    """Yield the submodules of a worktree that are not kept, by the copies that `owner` has, and why."""
    for link, submodule in _named_links(worktree):
        inner = filled(worktree, link.path)
        if inner is None:
            continue
        copy = None if owner is None else _copy_of(owner, link.path, submodule)
        if why := check(inner, copy, None if owner is None else _pin(owner, link.path)):
            yield link.path, why
        yield from ((f"{link.path}/{path}", why) for path, why in _filled_submodules(inner, copy, check))


def _absorbed_submodules(repository: GitRepository, check: _KeptCheck) -> Iterator[tuple[str, str]]:
    """Do the same for submodules whose files are gone, but whose git directories are in that of the worktree."""
    modules = os.path.join(repository.git_dir, "modules")
    if os.path.realpath(repository.git_dir) == repository.common_dir or not os.path.isdir(modules):
        return
    in_use = {
        os.path.realpath(inner.git_dir)
        for link in gitlinks(repository)
        if (inner := filled(repository, link.path)) is not None
    }
    for folder, folders, _ in os.walk(modules):
        if not os.path.isdir(os.path.join(folder, "objects")):
            continue
        if os.path.realpath(folder) in in_use:
            folders.clear()
            continue
        folders[:] = [one for one in folders if one == "modules"]
        module = os.path.relpath(folder, modules)
        if why := check(repository.module(folder), _copy_of(repository, module, module), None):
            yield module, why


def _pin(owner: GitRepository, path: str) -> str | None:
    """Return the commit of a submodule that the HEAD of the owner's main worktree asks for, which is not new."""
    done = owner.main.git("rev-parse", "--verify", "-q", f"HEAD:{path}", codes=range(256))
    return done.text if done.code == 0 else None


def _fetch_new(name: str, submodule: GitRepository, copy: GitRepository | None, pin: str | None) -> str | None:
    """Fetch new commits of a submodule into the copy; return why they are not kept, None if they are."""
    keep_left(submodule, "refs/aura/left")
    if not _is_new(submodule, *_tips(submodule), pin=pin):
        return None
    return "the repository has no copy of it" if copy is None else _fetch(copy, submodule, name)


def _not_kept(submodule: GitRepository, copy: GitRepository | None, pin: str | None) -> str | None:
    """Return why commits of a submodule are not kept, None if they are. Changes nothing."""
    tips = [*_tips(submodule), *left_commits(submodule)]
    if not _is_new(submodule, *tips, pin=pin) or (copy is not None and _keeps(copy, tips)):
        return None
    return "its commits are nowhere else"


def _keeps(copy: GitRepository, commits: list[str]) -> bool:
    """Whether HEAD or refs contain the commits: ``git gc`` deletes those that the copy only has as objects."""
    stdin = "".join(f"{commit}\n" for commit in commits).encode()
    done = copy.git("rev-list", "--max-count=1", "--stdin", "--not", "--all", stdin=stdin, codes=range(256))
    return done.code == 0 and not done.out


def _tips(submodule: GitRepository) -> list[str]:
    """Return the commits of HEAD, branches, tags and the stash."""
    listed = submodule.git("for-each-ref", "--format=%(objectname) %(refname)").text.splitlines()
    refs = [line.partition(" ")[0] for line in listed if " refs/remotes/" not in line]
    return [*refs, *filter(None, [submodule.head()])]


def _is_new(submodule: GitRepository, *commits: str, pin: str | None = None) -> bool:
    """Whether one of the commits is neither in a branch of the remote nor in `pin`, as far as is known here."""
    if not commits:
        return False
    known = [f"^{pin}"] if pin is not None and _has(submodule, pin) else []
    stdin = "".join(f"{line}\n" for line in (*commits, *known)).encode()
    return bool(submodule.git("rev-list", "--max-count=1", "--stdin", "--not", "--remotes", stdin=stdin).text)


def _fetch(copy: GitRepository, submodule: GitRepository, name: str) -> str | None:
    """Take the commits over into the copy, under refs of their own; return why that failed, None if it did not."""
    place = f"refs/aura/submodules/{name}"
    refs = [f"+refs/*:{place}/*", "^refs/remotes/*"]
    if submodule.head() is not None:
        refs.append(f"+HEAD:{place}/HEAD")
    options = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance", "-q")
    # Where its files are gone, the other end would refuse to start, too.
    other_end = f"env GIT_WORK_TREE={shlex.quote(submodule.git_dir)} git upload-pack"
    try:
        copy.git(
            *("-c", "protocol.file.allow=always", "fetch", *options, f"--upload-pack={other_end}"),
            *("--", submodule.path, *refs),
        )
    except GitError as error:
        return error.message()
    return None


# --- Before a merge ---------------------------------------------------------------------------------------------------


def missing(repository: GitRepository, base: str, commit: str, worktree: str | None) -> dict[str, str]:
    """See `GitSubmodules.missing_submodule_commits`."""
    names: dict[str, str] | None = None
    lost = {}
    for path, target in _changed_gitlinks(repository, base, commit):
        names = _names(repository, "--blob", f"{commit}:.gitmodules") if names is None else names
        copy = _copy_of(repository, path, names.get(path))
        if copy is not None and _has(copy, target):
            continue
        inner = filled(repository.at(worktree), path) if worktree else None
        if inner is not None and path in names and _has(inner, target) and not _is_new(inner, target):
            continue
        lost[path] = target
    return lost


def _changed_gitlinks(repository: GitRepository, base: str, commit: str) -> Iterator[tuple[str, str]]:
    """Yield the gitlinks of `commit` that `base` does not have, or has with another commit."""
    listed = repository.git(*TREE_DIFF, "--raw", base, commit).out
    parts = iter(os.fsdecode(listed).split("\0")[:-1])
    for facts in parts:
        _, mode, _, name, _ = facts.removeprefix(":").split(" ")
        path = next(parts)
        if mode == GITLINK:
            yield path, name
