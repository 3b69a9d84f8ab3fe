"""Status, staging and committing."""
# ruff: noqa: PTH108, PTH110, PTH118, PTH123
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from dulwich.index import IndexEntry
from dulwich.objects import ObjectID

from aura_contracts.errors import OperationInProgress
from aura_contracts.ports.git import Operation, RepositoryInfo, Status
from aura_git import _layout
from aura_git._dulwich_content import look
from aura_git._dulwich_index import Staged, fresh_entry, held, index_tree, read_index, unseen_entry
from aura_git._dulwich_refs import move_head
from aura_git._dulwich_repository import HEADS, Opened
from aura_git._dulwich_scan import Scan, Scanner, stored_entry
from aura_git._dulwich_trees import SUBMODULE, compare_tables, flatten


def inspect(repo: Opened) -> RepositoryInfo:
    ref, head = repo.head_ref(), repo.head()
    tree = None if head is None else repo.tree(head)
    modules = tree is not None and any(name == b".gitmodules" for name, _, _ in repo.entries(tree))
    return RepositoryInfo(
        git_dir=repo.place.git_dir,
        common_dir=repo.place.common_dir,
        worktree=repo.place.worktree,
        bare=repo.place.worktree is None,
        shallow=os.path.exists(os.path.join(repo.place.common_dir, "shallow")),
        linked=repo.place.linked,
        branch=None if ref is None else os.fsdecode(ref.removeprefix(HEADS)),
        head=None if head is None else head.decode(),
        submodules=modules,
    )


# --- Status -----------------------------------------------------------------------------------------------------------


def status(repo: Opened) -> Status:
    staged = read_index(repo)
    return status_of(repo, staged, Scanner(repo, staged).run())


def status_of(repo: Opened, staged: Staged, scan: Scan) -> Status:
    """Put together what a scan has found."""
    changed = compare_tables(flatten(repo, repo.head_tree()), staged.table())
    return Status(
        staged=_names(path for path in changed if path not in staged.conflicted),
        unstaged=_names(scan.modified),
        untracked=_names(path for path in scan.untracked if not _is_own_worktree(repo, path)),
        conflicted=_names(staged.conflicted),
    )


def _names(paths: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(sorted(os.fsdecode(path) for path in paths))


def _is_own_worktree(repo: Opened, path: bytes) -> bool:
    """Whether an untracked folder is a worktree of the same repository: that is no file of it."""
    if not path.endswith(b"/"):
        return False
    return _layout.is_linked_worktree_of(os.fsdecode(os.path.join(repo.root, path)), repo.place.common_dir)


# --- Staging ----------------------------------------------------------------------------------------------------------


def stage(repo: Opened, paths: Sequence[str]) -> None:
    wanted = {os.fsencode(path).rstrip(b"/") for path in paths}
    with held(repo) as lock:
        staged = read_index(repo)
        scanner = Scanner(repo, staged)
        scan = scanner.run()
        untracked = [path for path in scan.untracked if not path.endswith(b"/")]
        changed = [*scan.modified, *untracked, *staged.conflicted]
        if wanted:
            changed = [path for path in changed if not wanted.isdisjoint(_with_folders(path))]
        if not changed and not scan.refreshed:
            return
        entries = dict(staged.entries)
        for path, found in scan.refreshed.items():
            known = entries[path]
            entries[path] = fresh_entry(found, (known.mode, known.sha))
        for path in changed:
            made = None if _is_gone(scan, path) else _staged_entry(repo, scanner, path)
            if made is None:
                entries.pop(path, None)
            else:
                _make_room(entries, path)
                entries[path] = made
        left = {path: entry for path, entry in staged.conflicted.items() if path not in set(changed)}
        lock.write(Staged(entries, left, staged.written_ns, staged.version))


def _is_gone(scan: Scan, path: bytes) -> bool:
    return path in scan.modified and scan.modified[path] is None


def _with_folders(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [*(b"/".join(parts[:end]) for end in range(1, len(parts) + 1)), b"."]


def _make_room(entries: dict[bytes, IndexEntry], path: bytes) -> None:
    """Take out what cannot be beside `path`: a file where it has a folder. The other way round git's scan sees it."""
    cut = path.rfind(b"/")
    while cut > 0:
        entries.pop(path[:cut], None)
        cut = path.rfind(b"/", 0, cut)


def _staged_entry(repo: Opened, scanner: Scanner, path: bytes) -> IndexEntry | None:
    """Store a file; return its index entry, with what the file was before it was read: a change meanwhile is seen."""
    found = look(os.path.join(repo.root, path))
    entry = stored_entry(scanner, repo, path, scanner.staged.entries.get(path))
    if entry is None or found is None:
        return None
    return unseen_entry(entry) if entry[0] == SUBMODULE else fresh_entry(found, entry)


# --- Committing -------------------------------------------------------------------------------------------------------


def commit(repo: Opened, message: str, *, allow_empty: bool) -> ObjectID | None:
    under_way = _layout.operation(repo.place.git_dir)
    with held(repo):
        staged = read_index(repo)
        if staged.conflicted:
            path = repo.place.worktree or repo.asked
            raise OperationInProgress(
                repository=repo.asked,
                worktree=path,
                operation=under_way or "merge",
                remedy="resolve the conflicts and stage the files, then try again",
            )
        head = repo.head()
        tree = index_tree(repo, staged)
        before = repo.empty_tree() if head is None else repo.tree(head)
        if not allow_empty and under_way is not Operation.MERGE and tree == before:
            return None
        parents = [*([] if head is None else [head]), *_merged_heads(repo)]
        picked = _picked(repo) if under_way is Operation.CHERRY_PICK else None
        text = message.encode("utf-8", "surrogateescape")
        made = repo.make_commit(tree, parents, text, like=None if picked is None else repo.commit(picked))
        move_head(repo, head, made, f"commit: {message.partition(chr(10))[0]}")
        _finish_operation(repo)
    return made


def _merged_heads(repo: Opened) -> list[ObjectID]:
    with suppress(OSError), open(os.path.join(repo.place.git_dir, "MERGE_HEAD"), "rb") as file:
        return [ObjectID(line.strip()) for line in file if line.strip()]
    return []


def _picked(repo: Opened) -> ObjectID | None:
    with suppress(OSError), open(os.path.join(repo.place.git_dir, "CHERRY_PICK_HEAD"), "rb") as file:
        return ObjectID(file.read().strip())
    return None


def _finish_operation(repo: Opened) -> None:
    """Remove what says that a merge or a pick waits for its commit."""
    for name in (
        "MERGE_HEAD",
        "CHERRY_PICK_HEAD",
        "REVERT_HEAD",
        "MERGE_MSG",
        "MERGE_MODE",
        "AUTO_MERGE",
        "SQUASH_MSG",
    ):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(repo.place.git_dir, name))
