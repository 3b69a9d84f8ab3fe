"""One repository or worktree for the length of one call of the port: commands, refs, objects and scratch space.

Refs and commits are read in this process where possible (`Reader`), and by git otherwise. Only git writes.
"""

import os
import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from aura_contracts.errors import GitFailed, NotARepository, RefChanged, UnknownRevision
from aura_contracts.ports.git_values import Identity
from aura_git._branch_names import is_valid_ref
from aura_git.commandline._command import GitCommand, LocalCommand
from aura_git.commandline._environment import CONFIGURED_HOOKS
from aura_git.commandline._installation import Installation
from aura_git.commandline._output import TREE_DIFF, ConfigEntry, fields, paths
from aura_git.repository import _paths
from aura_git.repository._configuration import LISTING, Configuration, Configurations
from aura_git.repository._pins import PinnedPlace, Pins, StandIn
from aura_git.repository._scratch import ScratchFolders

if TYPE_CHECKING:
    from aura_git.repository._reader import Reader

_HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NO_PROGRAMS = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "file"}
"""For a repository that an agent may have made: it must not say from where to fetch, and by which program."""

_SINGLE_LINE = re.compile(r"[^\x00\n]+")


def message_bytes(message: str) -> bytes:
    """Return `message` as it is stored: surrogates become the bytes that they stand for."""
    try:
        return message.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair stands for no bytes
        return message.encode("utf-8", "replace")


class Repositories:
    """What repositories share: git, the caller's identity, configurations and readers. Safe to use from threads."""

    def __init__(
        self,
        installation: Installation,
        environment: Mapping[str, str],
        identity: Identity,
        pins: Pins,
        scratch: ScratchFolders,
    ) -> None:
        self.installation = installation
        self.pins = pins
        self.scratch = scratch
        self.identity = identity
        self.configurations = Configurations(environment)
        self._readers: dict[str, Reader] = {}
        self._lock = threading.Lock()

    def at(self, path: str) -> "GitRepository":
        """Return the repository or worktree at `path`, entered; see `GitRepository.enter`."""
        return GitRepository(self, path).enter()

    def locate(self, path: str) -> _paths.RepositoryLocation:
        """Return the repository at `path` or above it, by what is recorded of it. Raises `NotARepository`."""

        def recorded(folder: str) -> str | None:
            place = self.pins.place(folder)
            return place.git_dir if place is not None and place.has_files else None

        return _paths.locate(path, recorded)

    def reader(self, common_dir: str) -> "Reader":
        from aura_git.repository._reader import Reader  # noqa: PLC0415 - dulwich is only imported when it is needed

        with self._lock:
            if common_dir not in self._readers:
                self._readers = {known: reader for known, reader in self._readers.items() if os.path.isdir(known)}
                self._readers[common_dir] = Reader(common_dir)
            return self._readers[common_dir]


class GitRepository:
    """A repository or worktree at `path`. Its git directory and configuration are read once."""

    def __init__(self, shared: Repositories, path: str, common_dir: str | None = None) -> None:
        self._shared = shared
        self.path = path
        self._known_common_dir = common_dir

    def enter(self) -> Self:
        """Make the files of a pinned worktree lead where they did, before anything is read or run there."""
        with suppress(NotARepository):  # raised by what reads something there
            if self.place is not None and self._own_stand_in is not None and self._own_stand_in.pinned:
                self.pins.put_links_right(self.place, self._own_stand_in.path)
        return self

    @cached_property
    def place(self) -> PinnedPlace | None:
        """What was recorded of it before an agent could work in it."""
        pins = self._shared.pins
        found = pins.place(self.path)
        return pins.unrecorded_place(self.path) if found is None and self._known_common_dir is None else found

    @cached_property
    def stand_in(self) -> str | None:
        """What stands in for the common directory, see `Pins.stand_in`."""
        if self.place is None:
            return None
        if self._own_stand_in is not None:
            return self._own_stand_in.path
        return self._neutral() if self.pins.is_inside(self.path) else None

    @cached_property
    def _own_stand_in(self) -> StandIn | None:
        return None if self.place is None else self.pins.stand_in(self.place.common_dir)

    def _neutral(self) -> str:
        """Make a stand-in for a repository that an agent may have made."""
        command = self._shared.installation.command(self.path)
        file = os.path.join(self.common_dir, "config")
        listed = command.run("/", "config", "--file", file, "--list", "-z", codes=range(256))
        pairs = (os.fsdecode(field).partition("\n") for field in fields(listed.out))
        return self.pins.neutral(self.common_dir, [ConfigEntry("local", "", key, value) for key, _, value in pairs])

    @property
    def pins(self) -> Pins:
        return self._shared.pins

    @cached_property
    def command(self) -> GitCommand:
        """Runs git. Raises `GitUnavailable`."""
        command = self._shared.installation.command(self.path)
        if self.place is None:
            return command
        where = {"GIT_DIR": self.place.git_dir, "GIT_COMMON_DIR": self.stand_in or self.place.common_dir}
        where |= {"GIT_WORK_TREE": self.place.path} if self.place.has_files else {"GIT_IMPLICIT_WORK_TREE": "0"}
        if self.stand_in and not self._own_stand_in:
            where |= _NO_PROGRAMS
        command = command.with_variables(where)
        return command.configured(self.place.settings) if self.stand_in else command

    @cached_property
    def git(self) -> "LocalCommand":
        """Runs git commands that read or write objects and refs."""
        has_hooks = self.command.version >= CONFIGURED_HOOKS
        command = self.command.configured(self.configuration.without_hooks) if has_hooks else self.command
        return LocalCommand(command, self.path)

    @cached_property
    def on_files(self) -> "LocalCommand":
        """Runs git commands that compare, merge or write files.

        They use the line endings that the repository itself asks for, and merge drivers only where it is pinned.
        """
        command = self.git.command.configured(self.configuration.for_files)
        return LocalCommand(command.running_programs() if self.configuration.names_programs else command, self.path)

    @cached_property
    def on_scratch_files(self) -> "LocalCommand":
        """Runs git commands like `on_files`, whose files are thrown away: no filter is run for them."""
        return LocalCommand(self.on_files.command.configured(self.configuration.without_filters), self.path)

    def at(self, path: str) -> "GitRepository":
        """Return another worktree."""
        return self._shared.at(path)

    @cached_property
    def main(self) -> "GitRepository":
        """The main worktree, or the common directory: they have the same configuration."""
        return self if self.git_dir == self.common_dir else self.at(self.common_dir)

    def module(self, git_dir: str) -> "GitRepository":
        """Return the git directory of a submodule, as a repository without files."""
        return _Module(self._shared, git_dir)

    def at_git_dir(self, directory: str) -> "GitRepository":
        """Return a worktree of this repository by its git directory, whatever that says of its repository."""
        return GitRepository(self._shared, directory, self.common_dir).enter()

    # --- Places and configuration -------------------------------------------------------------------------------------

    @cached_property
    def git_dir(self) -> str:
        return self.place.git_dir if self.place else _paths.git_dir(self.path)

    @cached_property
    def common_dir(self) -> str:
        if self.place:
            return self.place.common_dir
        return self._known_common_dir or _paths.common_dir(self.git_dir)

    @cached_property
    def configuration(self) -> Configuration:
        common, pinned = self.stand_in or self.common_dir, self.stand_in is not None
        read = self._shared.configurations.of
        return read(self.path, self.git_dir, common, lambda: self.command.run(self.path, *LISTING).out, pinned=pinned)

    def live_configuration(self) -> tuple[ConfigEntry, ...]:
        """Return the configuration as the user's own git sees it now."""
        common = self.common_dir
        return self._shared.configurations.of(self.path, self.git_dir, common, self._list_live, exactly=True).entries

    def _list_live(self) -> bytes:
        command, place = self._shared.installation.command(self.path), self.place
        where = {"GIT_DIR": place.git_dir, "GIT_COMMON_DIR": place.common_dir} if place else {}
        return command.run(self.path, *LISTING, variables=where).out

    @cached_property
    def author(self) -> dict[str, str]:
        """Environment variables for who commits: the configured user, else AURA's identity."""
        return self.configuration.author(self._shared.identity)

    @property
    def name_length(self) -> int:
        """The length of object names, in bytes."""
        return 32 if self.configuration.get("extensions.objectformat") == "sha256" else 20

    # --- Reading ------------------------------------------------------------------------------------------------------

    @cached_property
    def reader(self) -> "Reader | None":
        """Reads refs and commits in this process; None where refs are stored in a way that only git can read."""
        storage = self.configuration.get("extensions.refstorage") or "files"
        return self._shared.reader(self.common_dir) if storage.startswith("files") else None

    def head_branch(self) -> str | None:
        """Return the full name of the branch that HEAD is on, None when it is detached."""
        with _asking_git():
            if self.reader:
                return self.reader.symbolic(self.git_dir, "HEAD")
        done = self.git("symbolic-ref", "-q", "HEAD", codes=(0, 1))
        return done.text if done.code == 0 else None

    def head(self) -> str | None:
        """Return the commit of HEAD, or None before the first commit."""
        with _asking_git():
            if self.reader and ((found := self.reader.find(self.git_dir, "HEAD")) is None or self._is_commit(found)):
                return found
        done = self.git("rev-parse", "--verify", "-q", "HEAD^{commit}", codes=(0, 1))
        if done.code == 0:
            return done.text
        self.head_branch()  # raises where HEAD is damaged
        return None

    def find_ref(self, ref: str) -> str | None:
        """Return what the full name `ref` points to, None if there is no such ref."""
        if not self._is_full_name(ref):
            return None
        with _asking_git():
            if self.reader:
                return self.reader.find(self.git_dir, ref)
        done = self.git("show-ref", "--verify", "--hash", "--", ref, codes=(0, 128))
        if done.code == 0:
            return done.text
        if "not a valid ref" in done.err:
            return None
        raise self.command.failure(self.path, ["show-ref"], done)

    def has_path(self, commit: str, path: str) -> bool:
        """Whether a commit has a file or folder at `path`."""
        return self.git("rev-parse", "--verify", "--quiet", f"{commit}:{path}", codes=range(256)).code == 0

    def has_refs(self, prefix: str) -> bool:
        """Whether there may be refs below `prefix`, a folder that all worktrees share."""
        with _asking_git():
            if self.reader:
                return self.reader.has_refs(prefix)
        return True

    def resolve(self, revision: str) -> str:
        """Return the commit that `revision` names. Raises `UnknownRevision`."""
        if not _SINGLE_LINE.fullmatch(revision) or revision.startswith("-"):
            raise UnknownRevision(repository=self.path, revision=revision)
        with _asking_git():
            named = revision if _HEX.fullmatch(revision) else self.find_ref(revision)
            if named is not None and self._is_commit(named):
                return named
        done = self.git("rev-parse", "--verify", "-q", "--end-of-options", f"{revision}^{{commit}}", codes=range(256))
        if done.code == 0:
            return done.text
        failure = self.command.failure(self.path, ["rev-parse"], done)
        if done.code == 1 or (type(failure) is GitFailed and not failure.remedy):
            raise UnknownRevision(repository=self.path, revision=revision)
        raise failure

    def _is_commit(self, name: str) -> bool:
        return self.reader is not None and self.reader.has_commit(name)

    def trees(self, *commits: str) -> list[str]:
        """Return the trees of commits."""
        stdin = "".join(f"{commit}^{{tree}}\n" for commit in commits).encode()
        listed = self.git("cat-file", "--batch-check=%(objectname)", stdin=stdin).text.splitlines()
        for commit, tree in zip(commits, listed, strict=True):
            if not _HEX.fullmatch(tree):
                raise UnknownRevision(repository=self.path, revision=commit)
        return listed

    def tree(self, commit: str) -> str:
        """Return the tree of a commit."""
        return self.trees(commit)[0]

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor of two commits that are known to exist."""
        if one == other:
            return one
        done = self.git("merge-base", one, other, codes=(0, 1))
        return done.text if done.code == 0 else None

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether one commit that is known to exist contains another."""
        if ancestor == descendant:
            return True
        return self.git("merge-base", "--is-ancestor", ancestor, descendant, codes=(0, 1)).code == 0

    def changed_paths(self, old: str, new: str) -> list[str]:
        """Return the paths of files that differ between two trees."""
        return paths(self.git(*TREE_DIFF, "--name-only", old, new).out)

    # --- Writing objects and refs -------------------------------------------------------------------------------------

    def empty_tree(self) -> str:
        return self.git("hash-object", "-t", "tree", "-w", "--stdin").text

    def commit_tree(self, tree: str, parents: Iterable[str], message: str) -> str:
        """Write a commit in the name of the configured user, or of AURA."""
        arguments = [argument for parent in parents for argument in ("-p", parent)]
        text = message_bytes(message)
        return self.git("commit-tree", tree, *arguments, "-F", "-", stdin=text, variables=self.author).text

    def require_ref(self, ref: str) -> None:
        """Raise `GitFailed` unless `ref` is the full name of a ref (or HEAD)."""
        if not self._is_full_name(ref):
            raise GitFailed(
                repository=self.path,
                command="git update-ref",
                reason=f"{ref!r} is not the full name of a ref",
                remedy="give a name such as refs/heads/main",
            )

    def _is_full_name(self, ref: str) -> bool:
        return ref == "HEAD" or (ref.startswith("refs/") and is_valid_ref(ref))

    def update_ref(self, ref: str, new: str | None, expected: str | None, message: str) -> None:
        """Move `ref` from `expected` to `new` by compare-and-swap; None: no such ref. Raises `RefChanged`."""
        note = " ".join(message.split()) or "aura"
        if new is None and expected is None:
            actual = self.find_ref(ref)
            if actual is not None:
                raise RefChanged(repository=self.path, ref=ref, expected=None, actual=actual)
            return
        change = [ref, new, expected or ""] if new is not None else ["-d", ref, expected or ""]
        done = self.git("update-ref", "--no-deref", "-m", note, *change, codes=range(256), variables=self.author)
        if done.code == 0:
            return
        actual = self.find_ref(ref)
        if actual != expected:
            raise RefChanged(repository=self.path, ref=ref, expected=expected, actual=actual)
        if "nonexistent object" in done.err or "not a valid SHA1" in done.err or "non-commit object" in done.err:
            raise UnknownRevision(repository=self.path, revision=new or "")
        raise self.command.failure(self.path, ["update-ref"], done)

    # --- Scratch space ------------------------------------------------------------------------------------------------

    @property
    def scratch(self) -> ScratchFolders:
        return self._shared.scratch

    @contextmanager
    def scratch_index(self) -> Iterator[dict[str, str]]:
        """Give environment variables with which git works on a copy of the index.

        The copy keeps the time of the original, which tells git which files it has to read.
        """
        with self._shared.scratch.folder() as folder:
            scratch, original = os.path.join(folder, "index"), os.path.join(self.git_dir, "index")
            if os.path.exists(original):
                shutil.copy2(original, scratch)
            yield {"GIT_INDEX_FILE": scratch}

    @contextmanager
    def scratch_objects(self) -> Iterator[dict[str, str]]:
        """Give environment variables with which new objects go to a folder that is removed at the end.

        Its name lets ``git gc`` remove what a crash leaves of it.
        """
        objects = os.path.join(self.common_dir, "objects")
        with TemporaryDirectory(prefix="tmp_objdir-aura-", dir=objects) as folder:
            escaped = objects.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield {"GIT_OBJECT_DIRECTORY": folder, "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{escaped}"'}


class _Module(GitRepository):
    """The git directory of a submodule. Its files may be gone: git would refuse to start, since it cannot go there."""

    @cached_property
    def command(self) -> GitCommand:
        command = super().command if self.stand_in else self._shared.installation.command(self.path)
        return command.on_work_tree(self.path, self.path)


@contextmanager
def _asking_git() -> Iterator[None]:
    """Leave the body for the git command after it, when the reader does not know for certain."""
    from aura_git.repository._reader import CannotRead  # noqa: PLC0415 - as above

    with suppress(CannotRead):
        yield
