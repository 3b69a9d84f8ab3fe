"""What is done with a workspace's worktrees while it is worked in: looking, committing, comparing, safety copies."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aura_contracts.errors import OperationInProgress
from aura_contracts.execution import Outcome
from aura_contracts.ports.git import ChangeKind, Diff, Git, RepositoryInfo, Status
from aura_contracts.ports.workspaces import CollectedWork, RepositoryDiff, WorkspaceCondition, WorkspaceSpec
from aura_contracts.workspace import RepositoryCommit
from aura_workspace._sources import find_source
from aura_workspace._worktree_links import linked_git_dir
from aura_workspace._marker import Marker
from aura_workspace._checkouts import RepositoryCheckout, WorktreeState, visible
from aura_workspace._patches import without_added
from aura_workspace._preparation import base_ref

_ASIDE = "aura-aside"
"""The folder in a worktree's git directory for copied files that are out of the way for a moment."""


def inspect(git: Git, spec: WorkspaceSpec, root: Path, checkouts: Sequence[RepositoryCheckout]) -> WorkspaceCondition:
    missing: list[str] = []
    operations: dict[str, str] = {}
    dirty = False
    for checkout in checkouts:
        if not _is_there(checkout):
            missing.append(checkout.name)
            continue
        marker = checkout.require_marker()
        dirty = dirty or visible(git.status(str(checkout.path)), marker).dirty
        if operation := git.operation(str(checkout.path)):
            operations[checkout.name] = str(operation)
    exists = not missing and root.is_dir()
    return WorkspaceCondition(exists=exists, dirty=dirty, missing=tuple(missing), operations=operations)


def _is_there(checkout: RepositoryCheckout) -> bool:
    return checkout.path.is_dir() if checkout.spec.in_place else checkout.probe()[0] is WorktreeState.OWN


# --- Committing -------------------------------------------------------------------------------------------------------


def collect(git: Git, spec: WorkspaceSpec, checkouts: Sequence[RepositoryCheckout], message: str) -> CollectedWork:
    markers = [checkout.require_marker() for checkout in checkouts]
    if not spec.in_place:
        for checkout in checkouts:
            require_no_operation(git, checkout)
    heads: list[RepositoryCommit] = []
    diffs: list[Diff] = []
    clean = True
    for checkout, marker in zip(checkouts, markers, strict=True):
        path = str(checkout.path)
        head = git.inspect(path).head if spec.in_place else _commit(git, checkout, marker, message)
        if head is not None:
            heads.append(RepositoryCommit(checkout.name, head))
        diffs.append(_changes(git, checkout) if spec.in_place else git.diff(path, base_of(checkout, marker), head))
        clean = clean and not visible(git.status(path), marker).dirty
    outcome = Outcome(
        changed_files=sum(len(diff.files) for diff in diffs),
        lines_added=sum(diff.lines_added for diff in diffs),
        lines_removed=sum(diff.lines_removed for diff in diffs),
        commits={head.repository: head.commit for head in heads},
    )
    return CollectedWork(outcome=outcome, heads=tuple(heads), clean=clean)


def require_no_operation(git: Git, checkout: RepositoryCheckout) -> None:
    """Raise `OperationInProgress` when the worktree is in the middle of something, or has files in conflict."""
    path = str(checkout.path)
    operation = git.operation(path)
    if operation is None and git.status(path).conflicted:
        raise OperationInProgress(
            repository=checkout.repository.path,
            worktree=path,
            operation="merge",
            remedy="resolve the conflicts and stage the files, then try again",
        )
    if operation is not None:
        raise OperationInProgress(repository=checkout.repository.path, worktree=path, operation=str(operation))


def base_of(checkout: RepositoryCheckout, marker: Marker) -> str:
    """Return the commit that the work was started from."""
    base = checkout.base_commit or marker.base_commit
    if not base:
        raise checkout.problem("it is not known what the work was started from", "prepare the workspace again")
    return base


def _commit(git: Git, checkout: RepositoryCheckout, marker: Marker, message: str) -> str:
    """Commit everything but what was copied into the worktree; return the commit that the branch is at then."""
    path = str(checkout.path)
    status = _without_copies(git, checkout, marker, git.status(path))
    changed = visible(status, marker)
    if changed.unstaged or changed.untracked:
        everything = changed == status
        git.stage(path, () if everything else _stageable(changed))
    if changed.dirty:
        git.commit(path, message)
    return _on_branch(git, checkout, git.inspect(path))


def _stageable(changed: Status) -> list[str]:
    """Return what is to be staged; never nothing, which would mean everything."""
    return [*changed.unstaged, *changed.untracked]


def _on_branch(git: Git, checkout: RepositoryCheckout, info: RepositoryInfo) -> str:
    """Bring the branch to what was worked on, when the agent has left it but gone on from where it was."""
    branch, ref = checkout.spec.branch, f"refs/heads/{checkout.spec.branch}"
    head = info.head
    if head is None:
        raise checkout.problem("the worktree has no commit", f"check {branch} out there")
    if info.branch == branch:
        return head
    tip = git.find_ref(str(checkout.path), ref)
    if tip != head:
        if tip is not None and not git.is_ancestor(str(checkout.path), tip, head):
            where = f"on branch {info.branch}" if info.branch else f"at {head}, on no branch"
            raise checkout.problem(
                f"it is {where}, which has not all of {branch}", f"merge the two, and check {branch} out there"
            )
        git.update_ref(str(checkout.path), ref, head, tip, "collect: the work went on elsewhere")
    return head


def _without_copies(git: Git, checkout: RepositoryCheckout, marker: Marker, status: Status) -> Status:
    """Unstage files that were copied into the worktree and that only the index has; return the status then.

    Git is shown the worktree without them for a moment; they wait in the git directory. What a crash leaves there is
    put back the next time.
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
    """Have files out of the worktree in the body."""
    try:
        for path in paths:
            if os.path.lexists(worktree / path):
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                (worktree / path).rename(aside / path)
        yield
    finally:
        _put_back(worktree, aside)


def _put_back(worktree: Path, aside: Path) -> bool:
    """Move files back that were put aside; whether there were any. What is there by now is not overwritten."""
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


def diff(git: Git, checkouts: Sequence[RepositoryCheckout], *, patch: bool, patch_limit: int) -> tuple[RepositoryDiff, ...]:
    diffs: list[RepositoryDiff] = []
    left = patch_limit
    for checkout in checkouts:
        found = _difference(git, checkout, patch, left)
        left -= len(found.patch or b"")
        diffs.append(RepositoryDiff(repository=checkout.name, diff=found))
    return tuple(diffs)


def _difference(git: Git, checkout: RepositoryCheckout, patch: bool, limit: int) -> Diff:  # noqa: FBT001 - passed through
    limit = max(limit, 0)
    if checkout.spec.in_place:
        checkout.require_marker()
        return _changes(git, checkout, patch=patch, limit=limit)
    if checkout.probe()[0] is WorktreeState.ABSENT and checkout.base_commit:
        source = find_source(git, checkout.repository.path)
        branch = f"refs/heads/{checkout.spec.branch}"
        return git.diff(source.top, checkout.base_commit, branch, patch=patch, patch_limit=limit)
    marker = checkout.require_marker()
    found = git.diff(str(checkout.path), base_of(checkout, marker), patch=patch, patch_limit=limit)
    return without_added(found, marker.hides)


def _changes(git: Git, checkout: RepositoryCheckout, *, patch: bool = False, limit: int = 0) -> Diff:
    """Return what differs in place from what was there at the start."""
    path = str(checkout.path)
    base = checkout.base_commit or git.find_ref(path, base_ref(checkout.spec))
    return git.diff(path, base, patch=patch, patch_limit=limit) if base else Diff(patch=b"" if patch else None)


# --- Safety copies ----------------------------------------------------------------------------------------------------


def snapshot(git: Git, spec: WorkspaceSpec, checkouts: Sequence[RepositoryCheckout], ref: str) -> tuple[RepositoryCommit, ...]:
    message = f"work in {spec.title}\n\nAura-Workspace: {spec.id}"
    commits: list[RepositoryCommit] = []
    for checkout in checkouts:
        if not spec.in_place and checkout.probe()[0] is WorktreeState.ABSENT:
            commits.append(RepositoryCommit(checkout.name, _keep_branch(git, checkout, ref)))
            continue
        checkout.require_marker()
        commits.append(RepositoryCommit(checkout.name, git.snapshot(str(checkout.path), ref, message)))
    return tuple(commits)


def _keep_branch(git: Git, checkout: RepositoryCheckout, ref: str) -> str:
    """Have `ref` hold the branch: all there is, when the worktree is gone."""
    top = find_source(git, checkout.repository.path).top
    tip = git.find_ref(top, f"refs/heads/{checkout.spec.branch}")
    if tip is None:
        raise checkout.problem("neither the worktree nor the branch is there", "prepare the workspace again")
    git.update_ref(top, ref, tip, git.find_ref(top, ref), "snapshot: the worktree is gone")
    return tip


def restore(git: Git, checkouts: Sequence[RepositoryCheckout], ref: str) -> None:
    commits: list[str] = []
    for checkout in checkouts:
        checkout.require_marker()
        commit = git.find_ref(str(checkout.path), ref)
        if commit is None:
            raise checkout.problem(f"there is no snapshot {ref} in {checkout.name}", "name one that was taken")
        commits.append(commit)
    for checkout, commit in zip(checkouts, commits, strict=True):
        git.restore(str(checkout.path), commit)
