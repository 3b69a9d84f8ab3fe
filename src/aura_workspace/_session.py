"""Working in a workspace: its condition, collecting the work, diffs, and safety copies."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
from msgspec.structs import replace

from aura_contracts.errors import GitError, OperationInProgress
from aura_contracts.execution import Outcome
from aura_contracts.ports.git import ChangeKind, Diff, Git, RepositoryInfo, Status
from aura_contracts.ports.workspaces import (
    CollectedWork,
    RepositoryDiff,
    TakenSnapshot,
    WorkspaceCondition,
    WorkspaceSpec,
)
from aura_contracts.quoting import one_line
from aura_contracts.workspace import RepositoryCommit, Unrecorded, UnrecordedKind
from aura_workspace._checkouts import (
    NO_MARKER,
    RepositoryCheckout,
    WorktreeState,
    find_source,
    restore_branch,
    visible,
)
from aura_workspace._copied_files import without_added
from aura_workspace._preparation import base_ref
from aura_workspace._unrecorded import MarkedWorktree, recordable, source_worktree
from aura_workspace._worktrees import Marker, linked_git_dir

_ASIDE = "aura-aside"
"""The folder in a worktree's git directory for copied files that are moved away for a moment."""


def inspect(git: Git, spec: WorkspaceSpec, root: Path, checkouts: Sequence[RepositoryCheckout]) -> WorkspaceCondition:
    """See `WorkspaceProvider.inspect`."""
    missing: list[str] = []
    operations: dict[str, str] = {}
    unrecorded: list[Unrecorded] = []
    dirty = False
    for checkout in checkouts:
        if not _exists(checkout) and not _mend(git, checkout):
            missing.append(checkout.name)
            unrecorded += _without_link(checkout)
            continue
        marker = checkout.require_marker()
        if not spec.in_place:
            git.examine_all(str(checkout.path))
        found = _unrecorded(git, checkout, marker)
        unrecorded += found
        dirty = dirty or recordable(visible(git.status(str(checkout.path)), marker), found).dirty
        if operation := git.operation(str(checkout.path)):
            operations[checkout.name] = str(operation)
    unrecorded += _next_to_worktrees(spec, root, checkouts)
    exists = not missing and root.is_dir()
    return WorkspaceCondition(
        exists=exists, dirty=dirty, unrecorded=tuple(unrecorded), missing=tuple(missing), operations=operations
    )


def _mend(git: Git, checkout: RepositoryCheckout) -> bool:
    """Restore the link of a worktree to its repository; return whether it is the workspace's now."""
    if checkout.spec.in_place or checkout.is_absent:
        return False
    with suppress(GitError):
        source = find_source(git, checkout.repository.path)
        if checkout.probe(source.common_dir)[0] is WorktreeState.BROKEN:
            git.repair_worktrees(source.top)
    return checkout.probe()[0] is WorktreeState.OWN


def _without_link(checkout: RepositoryCheckout) -> list[Unrecorded]:
    """Return what is in the place of a worktree that its repository cannot be asked about."""
    if checkout.spec.in_place or checkout.is_absent:
        return []
    return [Unrecorded(kind=UnrecordedKind.REPOSITORY, path="./", repository=checkout.name)]


def _next_to_worktrees(
    spec: WorkspaceSpec, root: Path, checkouts: Sequence[RepositoryCheckout]
) -> tuple[Unrecorded, ...]:
    """Return what is next to the worktrees: with several, their parent is where agents work."""
    if spec.in_place or not root.is_dir():
        return ()
    known = {checkout.path for checkout in checkouts}
    others = sorted(entry for entry in root.iterdir() if entry not in known)
    return tuple(
        Unrecorded(kind=UnrecordedKind.OUTSIDE, path=f"{entry.name}/" if entry.is_dir() else entry.name)
        for entry in others
    )


def _marked(git: Git, checkout: RepositoryCheckout, marker: Marker) -> MarkedWorktree:
    source = source_worktree(git, checkout.repository.path) if marker.copied else None
    return MarkedWorktree(git, checkout.path, marker, source)


def _unrecorded(git: Git, checkout: RepositoryCheckout, marker: Marker) -> tuple[Unrecorded, ...]:
    """Return what the worktree holds besides its branch. Nothing in place: there everything stays where it is."""
    return () if checkout.spec.in_place else _marked(git, checkout, marker).unrecorded(checkout.name)


def _exists(checkout: RepositoryCheckout) -> bool:
    return checkout.path.is_dir() if checkout.spec.in_place else checkout.probe()[0] is WorktreeState.OWN


# --- Committing -------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Collected:
    """The work in one repository."""

    head: str | None
    diff: Diff
    clean: bool
    unrecorded: tuple[Unrecorded, ...] = ()


def collect(
    git: Git,
    spec: WorkspaceSpec,
    root: Path,
    checkouts: Sequence[RepositoryCheckout],
    message: str,
    *,
    from_branch: bool,
) -> CollectedWork:
    """See `WorkspaceProvider.collect`."""
    for checkout in checkouts:
        _mend(git, checkout)
    # Every repository is checked before the first commit.
    recorders = [_recorder(git, checkout, message, from_branch=from_branch) for checkout in checkouts]
    collected = [record() for record in recorders]
    heads = [
        RepositoryCommit(checkout.name, one.head)
        for checkout, one in zip(checkouts, collected, strict=True)
        if one.head is not None
    ]
    outcome = Outcome(
        changed_files=sum(len(one.diff.files) for one in collected),
        lines_added=sum(one.diff.lines_added for one in collected),
        lines_removed=sum(one.diff.lines_removed for one in collected),
        commits={head.repository: head.commit for head in heads},
        unrecorded=(
            *(one for part in collected for one in part.unrecorded),
            *_next_to_worktrees(spec, root, checkouts),
        ),
    )
    return CollectedWork(outcome=outcome, heads=tuple(heads), clean=all(one.clean for one in collected))


def _recorder(git: Git, checkout: RepositoryCheckout, message: str, *, from_branch: bool) -> Callable[[], _Collected]:
    """Check a repository; return what records its work."""
    if from_branch and checkout.is_absent:
        return partial(_read_branch, git, checkout)
    marker = checkout.require_marker()
    if checkout.spec.in_place:
        return partial(_observe, git, checkout)
    git.examine_all(str(checkout.path))
    return partial(_record, git, checkout, marker, status_without_operation(git, checkout), message)


def _read_branch(git: Git, checkout: RepositoryCheckout) -> _Collected:
    """Return the work on the branch of a worktree that is gone."""
    top = find_source(git, checkout.repository.path).top
    tip = restore_branch(git, checkout, top)
    return _Collected(head=tip, diff=git.diff(top, base_of(checkout, NO_MARKER), tip), clean=True)


def _observe(git: Git, checkout: RepositoryCheckout) -> _Collected:
    """Return the work in place, where nothing is committed."""
    path = str(checkout.path)
    return _Collected(
        head=git.inspect(path).head, diff=_difference_in_place(git, checkout), clean=not git.status(path).dirty
    )


def _record(git: Git, checkout: RepositoryCheckout, marker: Marker, status: Status, message: str) -> _Collected:
    """Commit everything except copied files, and move the branch there if the agent has left it."""
    path = str(checkout.path)
    _require_not_on_target(git, checkout)
    status = _without_copies(git, checkout, marker, status)
    changed = visible(status, marker)
    if changed.unstaged or changed.untracked:
        # No paths would stage everything, which is quicker, where there is nothing to leave out.
        git.stage(path, () if changed == status else [*changed.unstaged, *changed.untracked])
    if changed.dirty:
        git.commit(path, message)
        status = git.status(path)
    head = _on_branch(git, checkout, git.inspect(path))
    left = git.keep_left_commits(path, f"refs/aura/left/{checkout.spec.id}")
    commits = [Unrecorded(kind=UnrecordedKind.COMMIT, path=one, repository=checkout.name) for one in left]
    diff = git.diff(path, base_of(checkout, marker), head)
    return _Collected(
        head=head,
        diff=diff,
        clean=not visible(status, marker).dirty,
        unrecorded=(*_unrecorded(git, checkout, marker), *commits),
    )


def _require_not_on_target(git: Git, checkout: RepositoryCheckout) -> None:
    """Raise `WorkspaceError` where a commit would move the branch that is merged into only after a review."""
    target, branch = checkout.repository.target_branch, checkout.spec.branch
    if target != branch and git.inspect(str(checkout.path)).branch == target:
        raise checkout.problem(f"it is on {target}, which the work is not merged into yet", f"check out {branch} there")


def status_without_operation(git: Git, checkout: RepositoryCheckout) -> Status:
    """Return the status of a worktree.

    Raises `OperationInProgress` during a merge, rebase or the like, or when there are files in conflict.
    """
    path = str(checkout.path)
    operation = git.operation(path)
    if operation is not None:
        raise OperationInProgress(repository=checkout.repository.path, worktree=path, operation=str(operation))
    status = git.status(path)
    if status.conflicted:
        raise OperationInProgress(
            repository=checkout.repository.path,
            worktree=path,
            operation="merge",
            remedy="resolve the conflicts and stage the files, then try again",
        )
    return status


def base_of(checkout: RepositoryCheckout, marker: Marker) -> str:
    """Return the commit that the work was started from."""
    base = checkout.base_commit or marker.base_commit
    if not base:
        raise checkout.problem("the commit that the work was started from is unknown", "prepare the workspace again")
    return base


def _on_branch(git: Git, checkout: RepositoryCheckout, info: RepositoryInfo) -> str:
    """Move the branch to the work if the agent has left the branch but continued from it; return its tip."""
    branch, ref = checkout.spec.branch, f"refs/heads/{checkout.spec.branch}"
    head = info.head
    if head is None:
        raise checkout.problem("the worktree has no commit", f"check out {branch} there")
    if info.branch == branch:
        return head
    tip = git.find_ref(str(checkout.path), ref)
    if tip != head:
        if tip is not None and not git.is_ancestor(str(checkout.path), tip, head):
            where = f"on branch {info.branch}" if info.branch else f"at {head}, on no branch"
            raise checkout.problem(
                f"it is {where}, which lacks commits of {branch}", f"merge the two, and check out {branch} there"
            )
        git.update_ref(str(checkout.path), ref, head, tip, "collect: the work continued elsewhere")
    return head


def _without_copies(git: Git, checkout: RepositoryCheckout, marker: Marker, status: Status) -> Status:
    """Unstage files that were copied into the worktree and that only the index has; return the status afterwards.

    Git sees the worktree without them for a moment; meanwhile they are in the git directory. If a crash leaves them
    there, they are put back the next time.
    """
    git_dir = linked_git_dir(checkout.path)
    if git_dir is None:
        return status
    if _put_back(checkout.path, git_dir / _ASIDE):
        status = git.status(str(checkout.path))
    if not any(marker.hides(path) for path in status.staged):
        return status
    against_head = git.diff(str(checkout.path), "HEAD")
    new = {file.path for file in against_head.files if file.kind is ChangeKind.ADDED}
    copies = [path for path in status.staged if marker.hides(path) and path in new]
    if not copies:
        return status
    with _aside(checkout.path, git_dir / _ASIDE, copies):
        git.stage(str(checkout.path), copies)
    return git.status(str(checkout.path))


@contextmanager
def _aside(worktree: Path, aside: Path, paths: Sequence[str]) -> Iterator[None]:
    """Move files out of the worktree for the duration of the body."""
    try:
        for path in paths:
            if os.path.lexists(worktree / path):
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                (worktree / path).rename(aside / path)
        yield
    finally:
        _put_back(worktree, aside)


def _put_back(worktree: Path, aside: Path) -> bool:
    """Move files back that were put aside, without overwriting others; return whether there were any."""
    if not aside.is_dir():
        return False
    for folder, _, names in os.walk(aside, topdown=False):
        for name in names:
            file = Path(folder, name)
            target = worktree / file.relative_to(aside)
            if not os.path.lexists(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                file.rename(target)
        with suppress(OSError):
            Path(folder).rmdir()
    return True


# --- Comparing --------------------------------------------------------------------------------------------------------


def diff(
    git: Git, checkouts: Sequence[RepositoryCheckout], *, patch: bool, patch_limit: int
) -> tuple[RepositoryDiff, ...]:
    """See `WorkspaceProvider.diff`."""
    diffs: list[RepositoryDiff] = []
    left = patch_limit
    for checkout in checkouts:
        found = _difference(git, checkout, patch=patch, limit=max(left, 0))
        left -= len(found.patch or b"")
        diffs.append(RepositoryDiff(repository=checkout.name, diff=found))
    return tuple(diffs)


def _difference(git: Git, checkout: RepositoryCheckout, *, patch: bool, limit: int) -> Diff:
    if checkout.spec.in_place:
        checkout.require_marker()
        return _difference_in_place(git, checkout, patch=patch, limit=limit)
    if checkout.is_absent and checkout.base_commit:
        source = find_source(git, checkout.repository.path)
        branch = f"refs/heads/{checkout.spec.branch}"
        return git.diff(source.top, checkout.base_commit, branch, patch=patch, patch_limit=limit)
    marker = checkout.require_marker()
    found = git.diff(str(checkout.path), base_of(checkout, marker), patch=patch, patch_limit=limit)
    return without_added(found, marker.hides)


def _difference_in_place(git: Git, checkout: RepositoryCheckout, *, patch: bool = False, limit: int = 0) -> Diff:
    """Return how the files in place differ from those at the start."""
    path = str(checkout.path)
    base = checkout.base_commit or git.find_ref(path, base_ref(checkout.spec))
    return git.diff(path, base, patch=patch, patch_limit=limit) if base else Diff(patch=b"" if patch else None)


# --- Safety copies ----------------------------------------------------------------------------------------------------


def snapshot(
    git: Git, spec: WorkspaceSpec, root: Path, checkouts: Sequence[RepositoryCheckout], ref: str, *, whole: bool
) -> TakenSnapshot:
    """See `WorkspaceProvider.snapshot`."""
    message = f"work in {one_line(spec.title)}\n\nAura-Workspace: {spec.id}"
    commits: list[RepositoryCommit] = []
    left_out: list[Unrecorded] = []
    for checkout in checkouts:
        _mend(git, checkout)
        if checkout.is_absent or (whole and checkout.probe()[0] is not WorktreeState.OWN):
            commits.append(RepositoryCommit(checkout.name, _keep_branch(git, checkout, ref)))
            left_out += _without_link(checkout)
            continue
        marker = checkout.require_marker()
        if spec.in_place:
            commits.append(RepositoryCommit(checkout.name, git.snapshot(str(checkout.path), ref, message)))
            continue
        commit, missing = _marked(git, checkout, marker).snapshot(ref, message, whole=whole)
        commits.append(RepositoryCommit(checkout.name, commit))
        left_out += [replace(one, repository=checkout.name) for one in missing]
    left_out += _next_to_worktrees(spec, root, checkouts)
    return TakenSnapshot(commits=tuple(commits), left_out=tuple(left_out))


def _keep_branch(git: Git, checkout: RepositoryCheckout, ref: str) -> str:
    """Point `ref` to the branch, which is all that is left when the worktree is gone; return its tip."""
    top = find_source(git, checkout.repository.path).top
    tip = restore_branch(git, checkout, top)
    git.update_ref(top, ref, tip, git.find_ref(top, ref), "snapshot: the worktree is gone")
    return tip


def restore(git: Git, checkouts: Sequence[RepositoryCheckout], ref: str) -> None:
    """See `WorkspaceProvider.restore`."""
    commits: list[str] = []
    for checkout in checkouts:
        checkout.require_marker()
        commit = git.find_ref(str(checkout.path), ref)
        if commit is None:
            raise checkout.problem(f"{checkout.name} has no snapshot {ref}", "name an existing snapshot")
        commits.append(commit)
    for checkout, commit in zip(checkouts, commits, strict=True):
        git.restore(str(checkout.path), commit)
