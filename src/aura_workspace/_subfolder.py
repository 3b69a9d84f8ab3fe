"""The subfolder of a repository that a run works in: it begins there, in the worktree as in the user's checkout."""

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from aura_contracts.errors import InsideGitDirectory, UncommittedSubfolder, WorkspaceError
from aura_contracts.file_paths import is_within, relative
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import PreparedWorkspace, WorkspaceSpec
from aura_workspace._checkouts import Source, as_workspace_error
from aura_workspace._copied_files import matches_below


def subfolder_of(path: str, top: str | None) -> str:
    """Return `path` relative to the worktree `top`; empty for the top itself, and in a bare repository."""
    if top is None:
        return ""
    folder, above = os.path.realpath(path), os.path.realpath(top)
    return "" if folder == above else relative(folder, above) or ""


def require_outside_git(folder: str) -> None:
    """Raise `InsideGitDirectory` for a folder in the remains of a ``.git``, whose repository git does not recognise."""
    if ".git" in Path(folder).parts:
        raise InsideGitDirectory(repository=folder)


def require_committed(
    git: Git, source: Source, subfolder: str, target_branch: str, copy_globs: Iterable[str] = ()
) -> None:
    """Raise `UncommittedSubfolder` if a worktree would have none of the files of `subfolder`.

    An empty one is fine, and so is one of which `copy_globs` match a file: files are copied into the worktree.
    """
    start = git.find_ref(source.top, f"refs/heads/{target_branch}") if target_branch else source.head
    if start is None or git.has_path(source.top, start, subfolder):
        return
    if _has_files(Path(source.top, subfolder)) and not matches_below(Path(source.top), subfolder, copy_globs):
        branch = target_branch or source.branch or "HEAD"
        raise UncommittedSubfolder(repository=source.top, subfolder=subfolder, branch=branch)


def _has_files(folder: Path) -> bool:
    """Whether a folder has a file or a link, at any depth."""
    for place, names, files in os.walk(folder):
        if files or any(Path(place, name).is_symlink() for name in names):
            return True
    return False


def in_subfolder(spec: WorkspaceSpec, prepared: PreparedWorkspace) -> PreparedWorkspace:
    """Return the prepared workspace with the subfolder of `spec`, which then exists."""
    prepared = replace(prepared, subfolder=spec.subfolder)
    try:
        ensure_subfolder(replace(spec, root=prepared.root, worktrees=prepared.worktrees))
    except OSError as error:
        raise as_workspace_error(spec.id, prepared.root, error, [], []) from error
    return prepared


def ensure_subfolder(spec: WorkspaceSpec) -> None:
    """Create the subfolder of a prepared workspace if the worktree has none: git keeps no empty folders.

    Raises `WorkspaceError` if a symbolic link leads out of the worktree, and `OSError` if a file is in its place.
    """
    if not spec.subfolder or len(spec.worktrees) != 1:
        return
    top, folder = os.path.realpath(spec.worktrees[0].path), os.path.realpath(spec.directory)
    if not is_within(folder, top):
        reason = "a symbolic link leads out of the worktree"
        raise WorkspaceError(workspace_id=spec.id, path=spec.directory, reason=reason, remedy="work on the top folder")
    Path(folder).mkdir(parents=True, exist_ok=True)
