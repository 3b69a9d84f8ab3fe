"""Working in a workspace: its condition, collecting the work, diffs, and safety copies."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import attrs
from msgspec.structs import replace

from aura_contracts.errors import OperationInProgress
from aura_contracts.execution import Outcome
from aura_contracts.file_paths import is_within
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import ChangeKind, Diff, Inventory, RepositoryInfo
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
    base_of,
    find_source,
    repair_links,
    restore_branch,
    shared_base,
    visible,
)
from aura_workspace._copied_files import without_added
from aura_workspace._preparation import base_ref
from aura_workspace._unrecorded import MarkedWorktree, recordable, source_worktree
from aura_workspace._worktrees import Marker

_MOST_EMPTY_FOLDERS = 20


def repair(git: Git, checkouts: Sequence[RepositoryCheckout]) -> None:
    """See `WorkspaceProvider.repair`."""
    for checkout in checkouts:
        if not checkout.spec.in_place and (_exists(checkout) or repair_links(git, checkout)):
            git.examine_all(str(checkout.path))


def inspect(git: Git, spec: WorkspaceSpec, root: Path, checkouts: Sequence[RepositoryCheckout]) -> WorkspaceCondition:
    """See `WorkspaceProvider.inspect`."""
    missing: list[str] = []
    operations: dict[str, str] = {}
    unrecorded: list[Unrecorded] = []
    dirty = False
    for checkout in checkouts:
        if not _exists(checkout):
            missing.append(checkout.name)
            unrecorded += _without_link(checkout)
            continue
        marker = checkout.require_marker()
        held = _inventory(git, checkout)
        found = _unrecorded(git, checkout, marker, held, git.unkept_submodules)
        unrecorded += found
        dirty = dirty or recordable(visible(held.status, marker), found).dirty
        if operation := git.operation(str(checkout.path)):
            operations[checkout.name] = str(operation)
    unrecorded += _next_to_worktrees(spec, root, checkouts)
    exists = not missing and root.is_dir()
    return WorkspaceCondition(
        exists=exists, dirty=dirty, unrecorded=tuple(unrecorded), missing=tuple(missing), operations=operations
    )


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


def _inventory(git: Git, checkout: RepositoryCheckout) -> Inventory:
    """Return what the worktree holds; in place only its status: there, everything else stays where it is."""
    path = str(checkout.path)
    return Inventory(status=git.status(path)) if checkout.spec.in_place else git.inventory(path)


def _unrecorded(
    git: Git, checkout: RepositoryCheckout, marker: Marker, held: Inventory, unkept: Callable[[str], Iterable[str]]
) -> tuple[Unrecorded, ...]:
    """Return what the worktree holds besides its branch; `unkept` returns its submodules. Nothing in place."""
    if checkout.spec.in_place:
        return ()
    return _marked(git, checkout, marker).unrecorded(held, unkept(str(checkout.path)), checkout.name)


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
        repair_links(git, checkout)
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
    nothing = not outcome.changed_files and not outcome.unrecorded
    return CollectedWork(
        outcome=outcome,
        heads=tuple(heads),
        clean=all(one.clean for one in collected),
        empty_folders=_empty_folders(git, spec, checkouts) if nothing else (),
    )


def _empty_folders(git: Git, spec: WorkspaceSpec, checkouts: Sequence[RepositoryCheckout]) -> tuple[str, ...]:
    """Return the folders without a file in the worktrees, except for the one that the agent began in."""
    if spec.in_place:
        return ()
    found = [
        f"{checkout.name}/{folder}" if len(checkouts) > 1 else folder
        for checkout in checkouts
        if not checkout.is_absent
        for folder in git.empty_folders(str(checkout.path))
        if not (spec.subfolder and is_within(spec.subfolder, folder.rstrip("/")))
    ]
    return tuple(found[:_MOST_EMPTY_FOLDERS])


def _recorder(git: Git, checkout: RepositoryCheckout, message: str, *, from_branch: bool) -> Callable[[], _Collected]:
    """Check a repository; return what records its work."""
    if from_branch and checkout.is_absent:
        return partial(_read_branch, git, checkout)
    marker = checkout.require_marker()
    if checkout.spec.in_place:
        return partial(_observe, git, checkout)
    git.examine_all(str(checkout.path))
    held = inventory_without_operation(git, checkout)
    _require_place(git, checkout)
    return partial(_record, git, checkout, marker, held, message)


def _read_branch(git: Git, checkout: RepositoryCheckout) -> _Collected:
    """Return the work on the branch of a worktree that is gone."""
    top = find_source(git, checkout.repository.path).top
    tip = restore_branch(git, checkout, top)
    base = shared_base(git, checkout, top, base_of(checkout, NO_MARKER), tip)
    return _Collected(head=tip, diff=git.diff(top, base, tip), clean=True)


def _observe(git: Git, checkout: RepositoryCheckout) -> _Collected:
    """Return the work in place, where nothing is committed."""
    path = str(checkout.path)
    return _Collected(
        head=git.inspect(path).head, diff=_difference_in_place(git, checkout), clean=not git.status(path).dirty
    )


def _record(git: Git, checkout: RepositoryCheckout, marker: Marker, held: Inventory, message: str) -> _Collected:
    """Commit everything except copied files, and move the branch there if the agent has left it."""
    path = str(checkout.path)
    held = _without_copies(git, checkout, marker, held)
    changed = visible(held.status, marker)
    if changed.unstaged or changed.untracked:
        # No paths would stage everything, which is quicker, where there is nothing to leave out.
        git.stage(path, () if changed == held.status else [*changed.unstaged, *changed.untracked])
    if changed.dirty:
        git.commit(path, message)
        held = git.inventory(path)
    head = _on_branch(git, checkout, git.inspect(path))
    left = git.keep_left_commits(path, f"refs/aura/left/{checkout.spec.id}")
    commits = [Unrecorded(kind=UnrecordedKind.COMMIT, path=one) for one in left]
    base = base_of(checkout, marker)
    shared = shared_base(git, checkout, path, base, head)
    if shared != base and git.is_ancestor(path, base, f"refs/heads/{checkout.repository.target_branch}"):
        commits.append(Unrecorded(kind=UnrecordedKind.UNDONE, path=base))
    diff = git.diff(path, shared, head)
    found = _unrecorded(git, checkout, marker, held, partial(git.keep_submodules, name=checkout.spec.id))
    others = [replace(one, repository=checkout.name) for one in (*commits, *git.elsewhere(path))]
    return _Collected(head=head, diff=diff, clean=not visible(held.status, marker).dirty, unrecorded=(*found, *others))


def _require_place(git: Git, checkout: RepositoryCheckout) -> None:
    """Raise `WorkspaceObstacle` where the branch could not follow a commit, or its target would be moved."""
    target, branch = checkout.repository.target_branch, checkout.spec.branch
    info = git.inspect(str(checkout.path))
    if info.branch == branch:
        return
    if info.branch == target:
        own = f"git update-ref --no-deref refs/heads/{branch} HEAD"
        raise checkout.obstacle(
            f"it is on {target}, which the work is not merged into yet",
            f"check out {branch} there; if it stands for {target}, first: {own}",
        )
    tip = git.find_ref(str(checkout.path), f"refs/heads/{branch}")
    if tip is None or (info.head and git.is_ancestor(str(checkout.path), tip, info.head)):
        return
    where = f"on branch {info.branch}" if info.branch else f"at {info.head}, on no branch"
    reason = f"it is {where}, which lacks commits of {branch}"
    raise checkout.obstacle(reason, f"merge the two, and check out {branch} there")


def inventory_without_operation(git: Git, checkout: RepositoryCheckout) -> Inventory:
    """Return what a worktree holds.

    Raises `OperationInProgress` during a merge, rebase or the like, or when there are files in conflict.
    """
    path = str(checkout.path)
    operation = git.operation(path)
    if operation is not None:
        raise OperationInProgress(repository=checkout.repository.path, worktree=path, operation=str(operation))
    held = git.inventory(path)
    if held.status.conflicted:
        raise OperationInProgress(
            repository=checkout.repository.path,
            worktree=path,
            operation="merge",
            remedy="resolve the conflicts and stage the files, then try again",
        )
    return held


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
        git.update_ref(str(checkout.path), ref, head, tip, "collect: the work continued elsewhere")
    return head


def _without_copies(git: Git, checkout: RepositoryCheckout, marker: Marker, held: Inventory) -> Inventory:
    """Unstage files that were copied into the worktree and that only the index has; return what it holds afterwards."""
    staged = [path for path in held.status.staged if marker.hides(path)]
    if not staged:
        return held
    against_head = git.diff(str(checkout.path), "HEAD")
    new = {file.path for file in against_head.files if file.kind is ChangeKind.ADDED}
    copies = [path for path in staged if path in new]
    if not copies:
        return held
    git.unstage_added(str(checkout.path), copies)
    return git.inventory(str(checkout.path))


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
        base = shared_base(git, checkout, source.top, checkout.base_commit, branch)
        return git.diff(source.top, base, branch, patch=patch, patch_limit=limit)
    marker = checkout.require_marker()
    path = str(checkout.path)
    base = shared_base(git, checkout, path, base_of(checkout, marker), "HEAD")
    found = git.diff(path, base, patch=patch, patch_limit=limit)
    if not any(marker.hides(file.path) for file in found.files):
        return found
    committed = {file.path for file in git.diff(path, base, "HEAD").files}
    return without_added(found, lambda file: marker.hides(file) and file not in committed)


def _difference_in_place(git: Git, checkout: RepositoryCheckout, *, patch: bool = False, limit: int = 0) -> Diff:
    """Return how the files in place differ from those at the start."""
    path = str(checkout.path)
    base = git.find_ref(path, base_ref(checkout.spec)) or checkout.base_commit
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
        repair_links(git, checkout)
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
