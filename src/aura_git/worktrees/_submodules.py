"""Submodules of linked worktrees: filled from the repository's own copies, and their new commits kept in them.

The copy of a submodule is in ``modules/<name>`` of the common git directory, or in the submodule of the main worktree
if that has a ``.git`` folder of its own. A filled submodule borrows the objects of the copy, and is on the commit that
the worktree asks for. No network is needed, no command of the submodule's configuration is run, and no setting of the
repository is changed.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from aura_contracts.errors import GitError, NotARepository
from aura_git.commandline._output import GITLINK, paths
from aura_git.files._gitlinks import Gitlink, filled, gitlinks
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository, main_worktree
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
    top = main_worktree(repository.at(repository.common_dir))
    if top is not None and os.path.isdir(os.path.join(top, path, ".git")):
        candidates.append((top, os.path.join(top, path, ".git")))
    for parent, place in candidates:
        is_inside = os.path.realpath(place).startswith(os.path.realpath(parent) + os.sep)
        with suppress(NotARepository):
            if is_inside and _paths.git_dir(os.path.realpath(place)):
                return repository.module(os.path.realpath(place))
    return None


def _has(repository: GitRepository, commit: str) -> bool:
    return repository.git("cat-file", "-e", f"{commit}^{{commit}}", codes=range(256)).code == 0


# --- Filling ----------------------------------------------------------------------------------------------------------


def fill(repository: GitRepository) -> tuple[str, ...]:
    """See `GitWorktrees.fill_submodules`."""
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


def keep(repository: GitRepository, name: str) -> tuple[str, ...]:
    """See `GitWorktrees.keep_submodules`."""
    return (*_keep_below(repository, repository, name), *_keep_without_files(repository, name))


def _keep_below(worktree: GitRepository, owner: GitRepository | None, name: str) -> Iterator[str]:
    """Fetch the commits of the submodules of a worktree into the copies that `owner` has; yield where it cannot be."""
    for link, submodule in _named_links(worktree):
        inner = filled(worktree, link.path)
        if inner is None:
            continue
        copy = None if owner is None else _copy_of(owner, link.path, submodule)
        if not _is_kept(inner, copy, name, _pin(worktree, link.path)):
            yield link.path
        yield from (f"{link.path}/{path}" for path in _keep_below(inner, copy, name))


def _keep_without_files(repository: GitRepository, name: str) -> Iterator[str]:
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
        if not _is_kept(repository.module(folder), _copy_of(repository, module, module), name, None):
            yield module


def _pin(worktree: GitRepository, path: str) -> str | None:
    """Return the commit of a submodule that the main worktree's HEAD asks for, which is not new."""
    main = worktree.at(worktree.common_dir)
    done = main.git("rev-parse", "--verify", "-q", f"HEAD:{path}", codes=range(256))
    return done.text if done.code == 0 else None


def _is_kept(submodule: GitRepository, copy: GitRepository | None, name: str, pin: str | None) -> bool:
    """Whether the remote or the copy has all commits of a submodule, after fetching new ones into the copy."""
    if not _has_new_commits(submodule, pin):
        return True
    return copy is not None and _fetch(copy, submodule, name)


def _has_new_commits(submodule: GitRepository, pin: str | None) -> bool:
    """Whether HEAD, a branch, a tag or the stash has commits that, as far as is known here, the remote lacks."""
    listed = submodule.git("for-each-ref", "--format=%(objectname) %(refname)").text.splitlines()
    refs = [line.partition(" ")[0] for line in listed if " refs/remotes/" not in line]
    return _is_new(submodule, *refs, *filter(None, [submodule.head()]), pin=pin)


def _is_new(submodule: GitRepository, *commits: str, pin: str | None = None) -> bool:
    """Whether one of the commits is neither in a branch of the remote nor in `pin`, as far as is known here."""
    if not commits:
        return False
    known = [f"^{pin}"] if pin is not None and _has(submodule, pin) else []
    stdin = "".join(f"{line}\n" for line in (*commits, *known)).encode()
    return bool(submodule.git("rev-list", "--max-count=1", "--stdin", "--not", "--remotes", stdin=stdin).text)


def _fetch(copy: GitRepository, submodule: GitRepository, name: str) -> bool:
    """Take the commits over into the copy, under refs of their own; return whether that succeeded."""
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
    except GitError:
        return False
    return True


# --- Before a merge ---------------------------------------------------------------------------------------------------


def missing(repository: GitRepository, base: str, commit: str, worktree: str | None) -> dict[str, str]:
    """See `GitWorktrees.missing_submodule_commits`."""
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
    listed = repository.git("diff-tree", "-r", "-z", "--no-renames", "--raw", base, commit).out
    parts = iter(os.fsdecode(listed).split("\0")[:-1])
    for facts in parts:
        _, mode, _, name, _ = facts.removeprefix(":").split(" ")
        path = next(parts)
        if mode == GITLINK:
            yield path, name
