"""Plain folders: folders that are in no repository, each with a private repository that keeps its versions.

    folders/<name>-<hash of its path>.git    bare; HEAD is the version that the folder is at, and the branch `TARGET`
                                             the version that it should be at

Worktrees come from the branch, and approved work is merged into it, as in any repository. Both begin by *recording* the
folder: a commit on HEAD, at which the branch is then started again. A merge ends by *delivering*: the folder's files
are taken from HEAD to the branch, all of them or none.

- No git runs on a folder before its private repository is pinned: an agent can write that, too.
- A caller that records or delivers holds the folder's lock, with the git processes that it has started.
- A merge that a crash left undelivered is dropped by the next recording, and is made again by its task: what a human
  has changed in the folder since is then merged with it, or is a conflict.
- A file that was changed after the recording is not overwritten: the delivery is taken back, and the merge repeated.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from aura_contracts.errors import DirtyWorktree, GitFailed, RefChanged, UnsuitableFolder, WorkspaceError
from aura_contracts.file_locks import lock_file
from aura_contracts.file_paths import is_within, relative
from aura_contracts.ports.git import Git, keeping
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.private_files import make_private_folder
from aura_contracts.workspace import PLAIN_TARGET, Repository
from aura_workspace._checkouts import name_for
from aura_workspace._project_folders import not_a_project

FILE_LIMIT = 20_000
"""Maximum files of a plain folder."""

BYTE_LIMIT = 256 * 1024 * 1024
"""Maximum bytes of the files of a plain folder."""

_BRANCH = f"refs/heads/{PLAIN_TARGET}"


class PlainFolders:
    """The private repositories of plain folders, below `home`."""

    def __init__(self, home: Path, git: Git, *, user_home: Path | None = None, patience: float = 30.0) -> None:
        self._home = home
        self._user_home = user_home
        self._git = git
        self._patience = patience

    def require_not_own(self, folder: str) -> None:
        """Raise `UnsuitableFolder` for a folder of AURA's own data, an absolute real path."""
        if is_within(folder, str(self._home)):
            reason = f"AURA keeps its own data in {self._home}"
            raise UnsuitableFolder(repository=folder, reason=reason, remedy="name another folder")

    def require_suitable(self, folder: str) -> None:
        """Raise `UnsuitableFolder` if a private repository cannot hold `folder`, an absolute real path."""
        self.require_not_own(folder)
        try:
            if reason := not_a_project(Path(folder), self._user_home):
                remedy = "name the folder of one project, or use in_place=True: changes are then made at once"
                raise UnsuitableFolder(repository=folder, reason=reason, remedy=remedy)
            reason = _survey(folder, str(self._home))
        except OSError as error:
            reason = f"{error.filename} cannot be read: {error.strerror}"
        if reason:
            raise UnsuitableFolder(repository=folder, reason=reason)

    def repository_of(self, folder: str) -> str:
        """Return the path of a folder's private repository."""
        return str(self._home / "folders" / f"{name_for(Path(folder).name, folder)}.git")

    def resolved(self, spec: WorkspaceSpec) -> WorkspaceSpec:
        """Return `spec` with private repositories in place of plain folders: what git is run in."""
        if not _folders(spec):
            return spec
        repositories = tuple(
            replace(repository, path=self.repository_of(repository.path)) if repository.plain else repository
            for repository in spec.repositories
        )
        return replace(spec, repositories=repositories)

    def provide(self, spec: WorkspaceSpec) -> None:
        """Make the private repositories that are missing.

        Raises `GitError`: `UnsuitableFolder` for one that a private repository cannot hold.
        """
        for folder in _folders(spec):
            self.require_suitable(folder.path)
        for folder in _folders(spec):
            repository = Path(self.repository_of(folder.path))
            with self._held(spec, folder):
                if not (repository / "refs").is_dir():
                    self._git.create_repository(str(repository), PLAIN_TARGET)
                self._leave_home_out(folder, repository / "info")

    @contextmanager
    def recorded(self, spec: WorkspaceSpec) -> Iterator[None]:
        """Record the plain folders of a workspace, and keep others from recording them until the body ends.

        Raises `WorkspaceError` and `GitError`.
        """
        with ExitStack() as stack:
            for folder in _folders(spec):
                stack.enter_context(self._held(spec, folder))
                self._record(spec, folder)
            yield

    @contextmanager
    def delivering(self, spec: WorkspaceSpec) -> Iterator[None]:
        """Record the plain folders of a workspace for the body; then deliver what it has merged.

        Raises `GitError`; `RefChanged` (transient) for a folder that was changed during the body: nothing was merged.
        """
        with self.recorded(spec):
            yield
            for folder in _folders(spec):
                self._deliver(folder)

    @contextmanager
    def _held(self, spec: WorkspaceSpec, folder: Repository) -> Iterator[None]:
        repository = Path(self.repository_of(folder.path))
        make_private_folder(self._home / "locks")
        if (lock := lock_file(self._home / "locks" / repository.name, self._patience)) is None:
            raise WorkspaceError(
                workspace_id=spec.id,
                path=folder.path,
                reason=f"another task has been taking files from it, or to it, for {self._patience:g} s",
                remedy="wait for it, or end its process",
            )
        with lock, keeping(lock.descriptor):
            with suppress(FileNotFoundError):
                (repository / "index.lock").unlink()  # of a git that was killed: one at work would hold the lock
            yield

    def _record(self, spec: WorkspaceSpec, folder: Repository) -> None:
        repository = self.repository_of(folder.path)
        if not Path(folder.path).is_dir():
            gone = "the folder is gone"
            raise GitFailed(repository=folder.path, command="recording", reason=gone, remedy="restore it")
        before, target = self._git.inspect(repository).head, self._git.find_ref(repository, _BRANCH)
        now = self._git.record_folder(repository, folder.path, before, f"{folder.path}, before {spec.title}")
        if target not in (None, before, now) and not self._git.diff(repository, now, target).files:
            now = target  # a crash kept this delivery from being noted
        if now != before:
            self._git.update_ref(repository, "HEAD", now, before, "recorded")
        if now != target:
            self._git.update_ref(repository, _BRANCH, now, target, "recorded")

    def _leave_home_out(self, folder: Repository, info: Path) -> None:
        """Have git ignore AURA's own data, if that is in the folder."""
        if inside := relative(str(self._home), folder.path):
            info.mkdir(exist_ok=True)
            info.joinpath("exclude").write_bytes(b"/%b/\n" % os.fsencode(re.sub(r"([\\*?\[\] ])", r"\\\1", inside)))

    def _deliver(self, folder: Repository) -> None:
        repository = self.repository_of(folder.path)
        old, new = self._git.resolve(repository, "HEAD"), self._git.resolve(repository, _BRANCH)
        if old == new:
            return
        try:
            self._git.update_folder(repository, folder.path, old, new)
        except DirtyWorktree as error:
            self._git.update_ref(repository, _BRANCH, old, new, "taken back")
            raise RefChanged(repository=folder.path, ref=_BRANCH, expected=old, actual=None) from error
        except BaseException:
            self._git.update_ref(repository, _BRANCH, old, new, "taken back")
            raise
        self._git.update_ref(repository, "HEAD", new, old, "delivered")


def _folders(spec: WorkspaceSpec) -> list[Repository]:
    return [repository for repository in spec.repositories if repository.plain]


def _survey(top: str, home: str) -> str:
    files = size = 0
    folders = [top]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.casefold() == ".git":
                    return f"{Path(entry.path).parent} is a repository of its own"
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    folders += [entry.path] if entry.path != home else []
                    continue
                if stat.S_ISREG(status.st_mode) and not os.access(entry.path, os.R_OK):
                    return f"{entry.path} cannot be read"
                files, size = files + 1, size + status.st_size
                if files > FILE_LIMIT or size > BYTE_LIMIT:
                    return f"it has more than {FILE_LIMIT:,} files or {BYTE_LIMIT >> 20} MiB"
    return ""
