"""Opening a repository with dulwich, and reading and writing its objects."""
# ruff: noqa: PTH103, PTH104, PTH108, PTH112, PTH118, PTH119, PTH120, PTH123
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from dulwich.config import ConfigFile, StackedConfig
from dulwich.errors import (
    ChecksumMismatch,
    FileFormatException,
    NotGitRepository,
    ObjectFormatException,
    ObjectMissing,
    RefFormatError,
    WrongObjectException,
)
from dulwich.file import FileLocked, adjust_shared_perm
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.refs import DiskRefsContainer, Ref, SymrefLoop
from dulwich.repo import (
    InvalidWorktreeConfiguration,
    Repo,
    UnsupportedExtension,
    UnsupportedVersion,
    sanitize_user_identity,
)

from aura_contracts.errors import GitFailed, NotARepository
from aura_contracts.ports.git import Identity
from aura_git._dulwich_places import Place, find_repository, user_configuration

HEAD = Ref(b"HEAD")
SYMBOLIC = b"ref: "
HEADS = b"refs/heads/"
_DAMAGE = (
    AssertionError,
    ChecksumMismatch,
    EOFError,
    FileFormatException,
    IndexError,
    KeyError,
    NotGitRepository,
    ObjectFormatException,
    ObjectMissing,
    RefFormatError,
    StopIteration,
    SymrefLoop,
    ValueError,
    WrongObjectException,
    struct.error,
    zlib.error,
)
"""What dulwich raises on files that are not what they should be; it checks little before it parses."""

USE_THE_COMMAND = "use the git command line for this repository"


@dataclass(frozen=True, eq=False)
class Opened:
    """A repository that is open for the length of one call."""

    asked: str
    command: str
    place: Place
    repo: Repo
    config: StackedConfig
    identity: Identity
    now: float
    environment: Mapping[str, str]

    def another(self, path: str) -> "AbstractContextManager[Opened]":
        """Open another repository or worktree, for the same call."""
        return opened(path, self.command, self.identity, self.now, self.environment)

    # --- Places -------------------------------------------------------------------------------------------------------

    @property
    def root(self) -> bytes:
        """The top folder of the worktree. Raises `GitFailed` in a bare repository."""
        if self.place.worktree is None:
            raise self.failure("it is a bare repository, without files", "name a worktree of it")
        return os.fsencode(self.place.worktree)

    def failure(self, reason: str, remedy: str = "") -> GitFailed:
        return GitFailed(repository=self.asked, command=self.command, reason=reason, remedy=remedy)

    def flag(self, section: bytes, name: bytes, *, default: bool) -> bool:
        """Return a yes-or-no setting; what is neither counts as the default."""
        try:
            return bool(self.config.get_boolean(section, name, default))
        except ValueError:
            return default

    def setting(self, section: bytes | tuple[bytes, ...], name: bytes) -> bytes | None:
        try:
            return self.config.get(section, name)
        except KeyError:
            return None

    # --- HEAD ---------------------------------------------------------------------------------------------------------

    def head_ref(self) -> bytes | None:
        """Return the full name of the ref that HEAD stands for, None when it is detached."""
        content = self.repo.refs.read_loose_ref(HEAD)
        if content is None or not content.startswith(SYMBOLIC):
            return None
        return content[len(SYMBOLIC) :].strip()

    def head(self) -> ObjectID | None:
        return self.repo.refs.follow(HEAD)[1]

    def head_tree(self) -> ObjectID | None:
        head = self.head()
        return None if head is None else self.tree(head)

    # --- Objects ------------------------------------------------------------------------------------------------------

    def read(self, sha: ObjectID) -> ShaFile:
        try:
            return self.repo.object_store[sha]
        except KeyError:
            raise self.failure(
                f"object {sha.decode()} is missing", "the repository is damaged: run `git fsck`, or clone it again"
            ) from None

    def peel(self, sha: ObjectID) -> ShaFile:
        """Return the object, or what the tag stands for if it is one."""
        read = self.read(sha)
        while isinstance(read, Tag):
            read = self.read(read.object[1])
        return read

    def tree(self, sha: ObjectID) -> ObjectID:
        """Return the tree of a commit."""
        return ObjectID(self.commit(sha).tree)

    def ref_path(self, ref: bytes) -> bytes:
        """Return the file that a ref is in, if it has one of its own."""
        assert isinstance(self.repo.refs, DiskRefsContainer)
        return self.repo.refs.refpath(ref)

    def commit(self, sha: ObjectID) -> Commit:
        read = self.peel(sha)
        if not isinstance(read, Commit):
            raise self.failure(f"{sha.decode()} is not a commit")
        return read

    def entries(self, sha: ObjectID) -> list[tuple[bytes, int, ObjectID]]:
        """Return name, mode and object name of all that a tree holds itself."""
        read = self.read(sha)
        if not isinstance(read, Tree):
            raise self.failure(f"{sha.decode()} is not a tree")
        return [(bytes(item.path), int(item.mode), item.sha) for item in read.items()]

    def blob(self, sha: ObjectID) -> bytes:
        read = self.read(sha)
        if not isinstance(read, Blob):
            raise self.failure(f"{sha.decode()} is not a file")
        return read.data

    def name_of(self, data: bytes) -> ObjectID:
        """Return the object name that a file with this content has."""
        summed = self.repo.object_format.new_hash()
        summed.update(b"blob %d\0" % len(data))
        summed.update(data)
        return ObjectID(summed.hexdigest().encode())

    def write(self, made: ShaFile) -> ObjectID:
        """Store an object, unless it is there. Safe beside other threads and processes, and when killed."""
        store = self.repo.object_store
        sha = ObjectID(made.get_id(self.repo.object_format))
        if sha in store:
            return sha
        folder = os.path.join(os.fspath(store.path), sha[:2].decode())
        os.makedirs(folder, exist_ok=True)
        adjust_shared_perm(folder, store.shared_perm)
        path = os.path.join(folder, sha[2:].decode())
        passing = os.path.join(folder, f"tmp_obj_{secrets.token_hex(8)}")
        try:
            with open(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb") as file:
                file.write(made.as_legacy_object(compression_level=store.loose_compression_level))
            adjust_shared_perm(passing, store.shared_perm)
            os.rename(passing, path)
        except BaseException:
            if os.path.lexists(passing):
                os.unlink(passing)
            raise
        return sha

    def write_blob(self, data: bytes) -> ObjectID:
        return self.write(Blob.from_string(data))

    def empty_tree(self) -> ObjectID:
        return self.write(Tree())

    # --- Commits ------------------------------------------------------------------------------------------------------

    def signature(self, role: bytes = b"committer") -> bytes:
        """Return the configured author or committer; AURA's identity where no whole user is configured."""
        name, email = self.setting(b"user", b"name"), self.setting(b"user", b"email")
        if not name or not email:
            name, email = self.identity.name.encode(), self.identity.email.encode()
        name, email = self.setting(role, b"name") or name, self.setting(role, b"email") or email
        return sanitize_user_identity(name, email)

    def offset(self) -> int:
        """Seconds that the machine's zone is east of UTC."""
        return time.localtime(self.now).tm_gmtoff

    def make_commit(
        self, tree: ObjectID, parents: Sequence[ObjectID], message: bytes, *, like: Commit | None = None
    ) -> ObjectID:
        """Write a commit object; `like` is the one whose author and message it takes over."""
        made = Commit()
        made.tree = tree
        made.parents = list(parents)
        made.committer = self.signature()
        made.commit_time = int(self.now)
        made.commit_timezone = self.offset()
        made.author = like.author if like else self.signature(b"author")
        made.author_time = like.author_time if like else made.commit_time
        made.author_timezone = like.author_timezone if like else made.commit_timezone
        if like is not None and like.encoding is not None:
            made.encoding = like.encoding
        made.message = message
        return self.write(made)


def message_bytes(message: str) -> bytes:
    """Return a commit message as git keeps it: one newline at its end, nothing else cut."""
    return message.encode("utf-8", "surrogateescape").rstrip(b"\n") + b"\n"


# --- Opening ----------------------------------------------------------------------------------------------------------


@contextmanager
def opened(
    path: str, command: str, identity: Identity, now: float, environment: Mapping[str, str], *, search: bool = False
) -> Iterator[Opened]:
    """Open the repository at `path`, or with `search` the one that it is in, for one call; close all its files then.

    What dulwich and the operating system raise inside becomes a `GitError`.
    """
    git_dir, top = find_repository(path, search=search)
    try:
        repo = _open(git_dir, top)
    except (NotGitRepository, FileNotFoundError, NotADirectoryError) as error:
        raise NotARepository(repository=path) from error
    except (UnsupportedExtension, UnsupportedVersion, InvalidWorktreeConfiguration, OSError, *_DAMAGE) as error:
        reason = f"dulwich cannot open it: {type(error).__name__} {error}"
        raise GitFailed(repository=path, command=command, reason=reason, remedy=USE_THE_COMMAND) from error
    try:
        with translated(path, command, git_dir):
            common = os.path.realpath(repo.commondir())
            place = Place(git_dir=git_dir, common_dir=common, worktree=_worktree(repo, git_dir, common, top))
            config = _configuration(repo, place, environment)
            yield Opened(path, command, place, repo, config, identity, now, environment)
    finally:
        repo.close()


def _configuration(repo: Repo, place: Place, environment: Mapping[str, str]) -> StackedConfig:
    """Return the repository's configuration over the user's and the machine's, strongest first (git-config(1))."""
    own = repo.get_config()
    layers = [own, *_read_configuration(user_configuration(environment))]
    if own.get_boolean((b"extensions",), b"worktreeConfig"):
        layers = [*_read_configuration([os.path.join(place.git_dir, "config.worktree")]), *layers]
    return StackedConfig(layers)


def _read_configuration(paths: Sequence[str]) -> list[ConfigFile]:
    found = []
    for path in paths:
        try:
            found.append(ConfigFile.from_path(path))
        except OSError:
            continue
    return found


def _open(git_dir: str, top: str | None) -> Repo:
    repo = Repo(controldir=git_dir) if top is None else Repo(top, controldir=git_dir, worktree=top)
    if not isinstance(repo.refs, DiskRefsContainer):
        repo.close()
        raise UnsupportedExtension("refStorage")
    repo.hooks.clear()
    return repo


@contextmanager
def translated(path: str, command: str, git_dir: str) -> Iterator[None]:
    """Make what dulwich and the operating system raise a `GitError`."""
    try:
        yield
    except FileLocked as error:
        raise locked_failure(path, command, os.fsdecode(error.lockfilename)) from error
    except _DAMAGE as error:
        reason = f"it is damaged, or dulwich does not understand it: {type(error).__name__} {error}"
        raise GitFailed(repository=path, command=command, reason=reason, remedy="run `git fsck`") from error
    except OSError as error:
        if not os.path.isdir(git_dir):
            raise NotARepository(repository=path) from error
        raise GitFailed(repository=path, command=command, reason=str(error)) from error


def locked_failure(path: str, command: str, lock: str) -> GitFailed:
    return GitFailed(
        repository=path,
        command=command,
        reason=f"another git process holds {lock}",
        remedy=f"wait for it; if none is running, one has crashed: remove {lock}",
    )


def _worktree(repo: Repo, git_dir: str, common: str, top: str | None) -> str | None:
    """Say where the files are: ``core.bare`` and ``core.worktree`` hold for the main worktree only."""
    if git_dir != common:
        return top
    config = repo.get_config()
    try:
        return os.path.realpath(os.path.join(git_dir, os.fsdecode(config.get((b"core",), b"worktree"))))
    except KeyError:
        pass
    try:
        bare = config.get_boolean((b"core",), b"bare")
    except ValueError:
        bare = None
    if bare:
        return None
    if top is None and bare is False and os.path.basename(git_dir) == ".git":
        return os.path.dirname(git_dir)
    return top
