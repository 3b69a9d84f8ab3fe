"""The configuration that the user had before an agent began, kept out of the agent's reach.

An agent can write all of a repository's git directory. So while it may work there, the repository is *pinned*: git gets
its directories from here, not from the files that lead to them, and a stand-in for the common directory:

    repositories/<key>/common       the stand-in that is in force, see `_stand_in`
    repositories/<key>/pinned       the settings in it
    repositories/<key>/owners/      an `_Owner` for each owner of the pin; without any, nothing is pinned
    repositories/<key>/distrusted   settings that changed while the repository was pinned: the next pin goes without
                                    these changes, and while there are any, the last stand-in is used between two
                                    pins, too
    repositories/<key>/unseen       exists if some may have appeared that could not be read
    places/<digest of a path>       the directories of a worktree or repository, see `PinnedPlace`
    neutral/<key>/                  stand-ins for repositories inside, which an agent may have made

Invariants:

- The folder is AURA's alone, and changes only under its lock. Readers need no lock: files are replaced as a whole, and
  so is the stand-in.
- Another stand-in comes into force only while no agent of an owner works there.
- A place is recorded before an agent can work in it, and is forgotten with its worktree. If that was removed by hand,
  it is kept as long as there are owners: an agent could put something else there.
- An owner is a workspace, which ends its pin itself, or one call of a process, whose pin ends with that process.
- What cannot be read here is never taken for what does not exist: nothing runs then.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from aura_contracts.errors import GitFailed, GitTimeout, NotARepository
from aura_contracts.private_files import UNFINISHED, make_private_folder, write_private
from aura_git.commandline._leftovers import is_running, this_process
from aura_git.commandline._output import ConfigEntry
from aura_git.repository import _links, _paths, _stand_in
from aura_git.repository._lock import file_lock
from aura_git.repository._records import names, read_record, write_record
from aura_git.repository._trust import Distrusted, distrust, recorded_distrust, renew

_SPARSE = frozenset({"core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse"})
"""Settings of one worktree that are kept: those that say which files it has."""


class PinnedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree, or a repository itself, and its directories as they were before an agent could change them."""

    path: str
    """The real path."""
    git_dir: str
    common_dir: str
    has_files: bool = True
    settings: dict[str, str] = {}
    """Of this worktree alone."""


class StandIn(NamedTuple):
    """What git gets in place of a common directory."""

    path: str
    pinned: bool
    """Whether the repository is pinned now: an agent may work there."""


class _Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who has pinned a repository."""

    idle: bool = False
    """Whether no agent of it works there."""
    process: str = ""
    """The process whose end is the end of the pin, see `this_process`; empty for a workspace."""


class Pins:
    """The pins of all repositories; `folder` is None where there is no place for them: nothing is pinned then.

    `timeout` is how many seconds to wait for another process that changes them. Common directories are named by their
    real paths.
    """

    def __init__(self, folder: Path | None, timeout: float = 30.0) -> None:
        self._folder = folder
        self._timeout = timeout
        self._links = _links.LinkRemover()

    # --- Reading ------------------------------------------------------------------------------------------------------

    def place(self, path: str) -> PinnedPlace | None:
        """Return what is recorded of the worktree or repository at `path`.

        A worktree that was removed and added again has another git directory, in the same repository.

        Raises `NotARepository` if a symbolic link is now in its place or in that of its git directory, and if that is
        gone while the repository is pinned: what leads to another one may come from an agent.
        """
        real = os.path.realpath(path)
        found = self._read_place(path, real)
        if found is None:
            return None
        if real != found.path or os.path.realpath(found.git_dir) != found.git_dir:
            raise NotARepository(repository=path, remedy=f"{path} leads elsewhere now: put the worktree back")
        if os.path.isdir(found.git_dir):
            return found
        if self.is_pinned(found.common_dir) and _holds_something(path):
            if (added := _added_again(found)) is not None:
                return added
            raise NotARepository(repository=path, remedy=f"{found.git_dir} is gone: put it back, or run it again")
        return None

    def unrecorded_place(self, path: str) -> PinnedPlace | None:
        """Return the place of a worktree or repository that is not on record, but whose settings may be an agent's.

        An agent may have made it, or it is another worktree, of the user's, of a repository with a stand-in.
        """
        if self._folder is None:
            return None
        inside = self.is_inside(path)
        try:
            git_dir = os.path.realpath(_paths.git_dir(path))
        except NotARepository:
            if inside:
                raise
            return None
        common = _paths.owner(git_dir)
        if not inside and self.stand_in(common) is None:
            return None
        has_files = os.path.lexists(os.path.join(path, ".git"))
        return PinnedPlace(path=os.path.realpath(path), git_dir=git_dir, common_dir=common, has_files=has_files)

    def recorded_common_dir(self, path: str) -> str | None:
        """Return the common directory of the worktree or repository at `path`, whether or not that is still there."""
        found = self._read_place(path)
        return None if found is None else found.common_dir

    def is_pinned(self, common_dir: str) -> bool:
        folder = self._repository(common_dir)
        if folder is None:
            return False
        with self._explained(common_dir):
            return bool(names(folder / "owners"))

    def stand_in(self, common_dir: str) -> StandIn | None:
        """Return the stand-in for a common directory; None if it is not pinned, and none of its settings distrusted."""
        folder = self._repository(common_dir)
        if folder is None:
            return None
        with self._explained(common_dir):
            pinned = bool(names(folder / "owners"))
            in_use = pinned or recorded_distrust(folder) != Distrusted()
            return StandIn(_stand_in.in_force(folder), pinned) if in_use else None

    def is_inside(self, path: str) -> bool:
        """Whether `path` is in a pinned worktree or repository, and none itself: an agent may have made it."""
        if self._folder is None:
            return False
        for parent in Path(os.path.realpath(path)).parents:
            found = self._read_place(str(parent), str(parent))
            if found is not None:
                return self.is_pinned(found.common_dir)
        return False

    def neutral(self, common_dir: str, entries: Iterable[ConfigEntry]) -> str:
        """Return a stand-in for a common directory that holds nothing of its configuration but how to read it."""
        assert self._folder is not None, "looked at by all callers"
        folder = self._folder / "neutral" / _digest(common_dir)
        with self._locked(common_dir):
            _stand_in.write_neutral(folder, common_dir, entries)
        return str(folder)

    def put_links_right(self, place: PinnedPlace, stand_in: str) -> None:
        """Make the files in a pinned git directory lead where they did: for refs, git reads them, not `GIT_COMMON_DIR`.

        Symbolic links in place of what git writes are removed: it would write where they lead.
        """
        self._remove_links(place.git_dir, place.common_dir, stand_in)
        _links.lead_back(place.path, place.git_dir, place.common_dir)

    def _remove_links(self, git_dir: str, common_dir: str, stand_in: str) -> None:
        with self._explained(common_dir):
            users = _stand_in.users_links(stand_in)
        try:
            self._links.remove(git_dir, common_dir, users)
        except OSError as error:
            reason = f"a symbolic link in its git directory may lead elsewhere, and cannot be removed: {error}"
            remedy = f"see that you can read and write all folders below {common_dir}/logs"
            raise GitFailed(repository=common_dir, command="pin", reason=reason, remedy=remedy) from error

    # --- Pinning ------------------------------------------------------------------------------------------------------

    def pin(
        self, places: Iterable[PinnedPlace], owner: str, entries: Iterable[ConfigEntry], *, of_process: bool = False
    ) -> None:
        """Pin a repository, given its places and its live configuration; another owner's pin is joined.

        With `of_process`, the pin ends with this process at the latest, and no agent works under it.
        """
        known = list(places)
        common = known[0].common_dir
        folder = self._repository(common)
        if folder is None:
            return
        with self._locked(common):
            owners = _living_owners(folder)
            if not owners:
                self._forget_gone(common, folder)
            if all(one.idle for one in owners.values()):
                renew(folder, common, list(entries))
            for place in known:
                self._record(place)
            write_record(_folder(folder / "owners") / owner, _Owner(process=this_process() if of_process else ""))

    def rest(self, common_dir: str, owner: str, entries: Iterable[ConfigEntry] | None, *, ends: bool = False) -> None:
        """Note that no agent of an owner works there, and distrust what was added to the live configuration meanwhile.

        `entries` is None where that cannot be read: what the next pin finds in it is distrusted then. With `ends`, the
        owner's pin ends.
        """
        folder = self._repository(common_dir)
        if folder is None:
            return
        file = folder / "owners" / owner
        with self._locked(common_dir):
            known = read_record(file, _Owner)
            if known is None:
                return
            if not known.process and not (known.idle and ends):
                self._remove_links(
                    common_dir, common_dir, _stand_in.in_force(folder)
                )  # the next pin keeps what is left
                if entries is None:
                    write_private(folder / "unseen", b"")
                elif os.path.isdir(common_dir):
                    distrust(folder, common_dir, entries)
            if ends:
                file.unlink(missing_ok=True)
            else:
                write_record(file, msgspec.structs.replace(known, idle=True))

    def all_distrusted(self) -> Iterator[tuple[str, Distrusted]]:
        """Yield the common directories of repositories with distrusted settings, and these settings."""
        if self._folder is None:
            return
        for name in names(self._folder / "repositories"):
            folder = self._folder / "repositories" / name
            with suppress(OSError):
                common = os.path.dirname(os.readlink(os.path.join(_stand_in.in_force(folder), "objects")))
                if (distrusted := recorded_distrust(folder)) != Distrusted() and os.path.isdir(common):
                    yield common, distrusted

    # --- Places -------------------------------------------------------------------------------------------------------

    def record(self, place: PinnedPlace) -> None:
        """Record a worktree that was made."""
        if self._folder is not None:
            with self._locked(place.common_dir):
                self._record(place)

    @contextmanager
    def moving(self, path: str, to: str) -> Iterator[None]:
        """Move what is recorded of a worktree while the body moves it; it is on record in both places meanwhile."""
        found = self._read_place(path)
        if found is not None:
            self.record(msgspec.structs.replace(found, path=os.path.realpath(to)))
        try:
            yield
        except BaseException:
            self.forget(to)
            raise
        self.forget(path)

    def forget(self, path: str) -> None:
        """Forget a worktree that was removed."""
        for file in self._place_files(path):
            with self._explained(path):
                file.unlink(missing_ok=True)

    def _forget_gone(self, common_dir: str, folder: Path) -> None:
        """Forget the worktrees of a repository that were removed by hand, and what killed processes left here."""
        assert self._folder is not None, "looked at by all callers"
        for written in (self._folder / "places", folder, folder / "owners"):
            for left in written.glob(UNFINISHED):
                left.unlink(missing_ok=True)
        for file in (self._folder / "places").iterdir():
            with suppress(OSError):  # a damaged one is an error for those who work there
                place = read_record(file, PinnedPlace)
                if place is not None and place.common_dir == common_dir and not os.path.lexists(place.path):
                    file.unlink(missing_ok=True)

    def _read_place(self, path: str, real: str | None = None) -> PinnedPlace | None:
        """`real` is the path without symbolic links, if that is known."""
        with self._explained(path):
            found = (read_record(file, PinnedPlace) for file in self._place_files(path, real))
            return next((place for place in found if place is not None), None)

    def _record(self, place: PinnedPlace) -> None:
        write_record(next(self._place_files(place.path)), place)

    def _place_files(self, path: str, real: str | None = None) -> Iterator[Path]:
        """Yield where a place is recorded: by its path as it was named, and without symbolic links."""
        if self._folder is None:
            return
        named = os.path.abspath(path)
        yield Path(f"{self._folder}/places/{_digest(named)}")
        real = real or os.path.realpath(path)
        if real != named:
            yield Path(f"{self._folder}/places/{_digest(real)}")

    # --- The folder ---------------------------------------------------------------------------------------------------

    def _repository(self, common_dir: str) -> Path | None:
        if self._folder is None:
            return None
        return Path(f"{self._folder}/repositories/{_digest(common_dir)}")

    @contextmanager
    def _locked(self, repository: str) -> Iterator[None]:
        """Hold the lock of all pins. Raises `GitTimeout`, and `GitFailed` for what cannot be read or written here."""
        assert self._folder is not None, "looked at by all callers"
        file = self._folder / "lock"
        remedy = f"another process holds the lock {file}: end it, or try again"
        timeout = GitTimeout(repository=repository, command="pin", seconds=self._timeout, remedy=remedy)
        with self._explained(repository):
            for name in ("", "places", "repositories"):
                _folder(self._folder / name)
            with file_lock(str(file), timeout, mode=0o600):
                yield

    @contextmanager
    def _explained(self, repository: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"AURA's record of its configuration cannot be used: {error}"
            remedy = f"see that {self._folder} is yours, can be written, and has room"
            raise GitFailed(repository=repository, command="pin", reason=reason, remedy=remedy) from error


def _digest(path: str) -> str:
    return sha256(os.fsencode(path)).hexdigest()[:32]


# --- The files of one repository --------------------------------------------------------------------------------------


def _living_owners(folder: Path) -> dict[str, _Owner]:
    """Return the owners; those whose process has ended are removed."""
    owners = {}
    for name in names(folder / "owners"):
        owner = read_record(folder / "owners" / name, _Owner)
        if owner is not None and owner.process and not is_running(owner.process):
            (folder / "owners" / name).unlink(missing_ok=True)
        elif owner is not None:
            owners[name] = owner
    return owners


def _added_again(place: PinnedPlace) -> PinnedPlace | None:
    """Return the place with the git directory that its repository has for it now."""
    for directory in _paths.git_dirs(place.common_dir)[1:]:
        is_plain = os.path.realpath(directory) == directory and os.path.isdir(directory)
        if is_plain and os.path.realpath(_paths.worktree_of(directory)) == place.path:
            return msgspec.structs.replace(place, git_dir=directory, settings={})
    return None


def own_settings(entries: Iterable[ConfigEntry]) -> dict[str, str]:
    """Return the settings of one worktree alone that are kept for it."""
    return {entry.key: entry.value for entry in entries if entry.scope == "worktree" and entry.key in _SPARSE}


# --- Files ------------------------------------------------------------------------------------------------------------


def _holds_something(folder: str) -> bool:
    with suppress(OSError):
        return bool(os.listdir(folder))
    return False


def _folder(path: Path) -> Path:
    make_private_folder(path)
    return path
