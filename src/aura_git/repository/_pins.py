"""The configuration that the user had before an agent began, kept out of the agent's reach.

An agent can write all of a repository's git directory. So while it may work there, the repository is *pinned*: git gets
its directories from here, not from the files that lead to them, and a stand-in for the common directory, in which
`config` and `info` are copies and everything else is a symbolic link:

    repositories/<key>/common/     the stand-in, `GIT_COMMON_DIR` of every command
    repositories/<key>/owners/     one file for each owner of the pin; without any, the live configuration is in force.
                                   It says ``idle`` while no agent of the owner works there
    repositories/<key>/distrusted  settings that appeared while the repository was pinned: the next pin leaves them out
    places/<digest of a path>      the directories of a worktree or repository, see `PinnedPlace`
    neutral/<key>/                 stand-ins for repositories inside, which an agent may have made

Invariants:

- The folder is AURA's alone, and changes only under its lock. Readers need no lock: files are replaced as a whole.
- A stand-in changes only while no agent of an owner works there.
- A place is recorded before an agent can work in it.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from aura_contracts.errors import NotARepository
from aura_contracts.first_use import decode_json
from aura_contracts.private_files import make_private_folder, private_opener
from aura_git.commandline._output import ConfigEntry

_LINKED = ("HEAD", "objects", "refs", "packed-refs", "logs", "worktrees", "shallow", "modules", "lfs")
"""Linked even before they exist; everything else if it exists."""

_MADE = ("logs", "worktrees")
"""Folders that git makes when it needs them, which it cannot through a link to nothing."""

_COPIED = ("exclude", "attributes")
"""Files in `info` that say what git leaves out, how it displays a file, and which program it runs for it."""

_NOT_LINKED = frozenset({"config", "config.worktree", "commondir", "gitdir", "hooks", "index", "info"})

_SPARSE = frozenset({"core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse"})
"""Settings of one worktree that are kept: those that say which files it has."""

_WRITTEN = ("commondir", "gitdir", "index", "COMMIT_EDITMSG", "ORIG_HEAD", "logs", "logs/HEAD")
"""What git writes in a git directory through a symbolic link."""

_IDLE = "idle"

_DROPPED = frozenset({"extensions.worktreeconfig", "include.path"})

_FORMAT = frozenset({"core.repositoryformatversion", "extensions.objectformat", "extensions.refstorage"})
"""Settings without which a repository cannot be read."""

_ALWAYS_TRUSTED = _FORMAT | {"user.name", "user.email"}
"""Settings that name no program."""


class PinnedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree, or a repository itself, and its directories as they were before an agent could change them."""

    path: str
    """The real path."""
    git_dir: str
    common_dir: str
    has_files: bool = True
    settings: dict[str, str] = {}
    """Of this worktree alone."""


class Pins:
    """The pins of all repositories; `folder` is None where there is no place for them: nothing is pinned then."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    # --- Reading ------------------------------------------------------------------------------------------------------

    def place(self, path: str) -> PinnedPlace | None:
        """Return what is recorded of the worktree or repository at `path`.

        Raises `NotARepository` if a symbolic link is now in its place or in that of its git directory, and if that is
        gone while the repository is pinned: what leads to another one may come from an agent.
        """
        if self._folder is None:
            return None
        for name in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
            try:
                found = decode_json(self._place_file(name).read_bytes(), PinnedPlace)
            except (OSError, ValueError):
                continue
            if os.path.realpath(path) != found.path or os.path.realpath(found.git_dir) != found.git_dir:
                raise NotARepository(repository=path, remedy=f"{path} leads elsewhere now: put the worktree back")
            if os.path.isdir(found.git_dir):
                return found
            if self.stand_in(found.common_dir) is not None and _names(Path(path)):
                raise NotARepository(repository=path, remedy=f"{found.git_dir} is gone: put it back, or run it again")
            return None
        return None

    def stand_in(self, common_dir: str) -> str | None:
        """Return the stand-in for a common directory, None while it is not pinned."""
        folder = self._repository(common_dir)
        if folder is None or not any(_names(folder / "owners")):
            return None
        return str(folder / "common")

    def is_inside(self, path: str) -> bool:
        """Whether `path` is in a pinned worktree or repository, and none itself: an agent may have made it."""
        if self._folder is None:
            return False
        for folder in Path(os.path.realpath(path)).parents:
            found = self._read(str(folder))
            if found is not None:
                return self.stand_in(found.common_dir) is not None
        return False

    def neutral(self, common_dir: str, entries: Iterable[ConfigEntry]) -> str:
        """Return a stand-in for a common directory that holds nothing of its configuration but how to read it."""
        assert self._folder is not None, "looked at by all callers"
        folder = self._folder / "neutral" / sha256(os.fsencode(common_dir)).hexdigest()[:32]
        with self._locked():
            _folder(folder)
            for name in _LINKED:
                with suppress(FileExistsError):
                    (folder / name).symlink_to(Path(common_dir, name))
            _write_text(folder / "config", config_file(entry for entry in entries if entry.key in _FORMAT))
        return str(folder)

    def put_links_right(self, place: PinnedPlace) -> None:
        """Make the files in a pinned git directory lead where they did: for refs, git reads them, not `GIT_COMMON_DIR`.

        Symbolic links to files that git writes are removed: it would write where they lead.
        """
        if self.stand_in(place.common_dir) is None:
            return
        for name in _WRITTEN:
            file = os.path.join(place.git_dir, name)
            if os.path.islink(file):
                os.unlink(file)
        links = {"commondir": place.common_dir, "gitdir": os.path.join(place.path, ".git")}
        if place.git_dir == place.common_dir:
            Path(place.git_dir, "commondir").unlink(missing_ok=True)
        elif os.path.isdir(place.path):
            for name, target in links.items():
                _lead(Path(place.git_dir, name), target, relative_to=place.git_dir)
            dot = Path(place.path, ".git")
            if dot.is_file():
                _lead(dot, place.git_dir, relative_to=place.path, prefix="gitdir: ")

    # --- Pinning ------------------------------------------------------------------------------------------------------

    def pin(self, places: Iterable[PinnedPlace], owner: str, entries: Iterable[ConfigEntry]) -> None:
        """Pin a repository, given its places and its live configuration; another owner's pin is joined."""
        known = list(places)
        common = known[0].common_dir
        folder = self._repository(common)
        if folder is None:
            return
        with self._locked():
            owners = _folder(folder / "owners")
            if all(_is_idle(owners / name) for name in _names(owners)):
                self._make_stand_in(folder, common, list(entries))
            for place in known:
                self._record(place)
            _write_text(owners / owner, "")

    def rest(self, common_dir: str, owner: str, entries: Iterable[ConfigEntry], *, ends: bool = False) -> None:
        """Note that no agent of an owner works there, and distrust what was added to the live configuration meanwhile.

        With `ends`, the owner's pin ends.
        """
        folder = self._repository(common_dir)
        if folder is None or not (folder / "owners" / owner).exists():
            return
        file = folder / "owners" / owner
        with self._locked():
            if not _is_idle(file) or not ends:
                pinned = {tuple(one) for one in json.loads((folder / "pinned").read_text())}
                self._distrust(folder, [entry for entry in _own(entries) if (entry.key, entry.value) not in pinned])
            if ends:
                file.unlink(missing_ok=True)
            else:
                _write_text(file, _IDLE)

    def _make_stand_in(self, folder: Path, common: str, entries: list[ConfigEntry]) -> None:
        own = _own(entries)
        live = {(entry.key, entry.value) for entry in own}
        distrusted = self._distrusted(folder) & live
        _write(folder / "distrusted", sorted(distrusted))
        trusted = [entry for entry in own if (entry.key, entry.value) not in distrusted]
        _write(folder / "pinned", [(entry.key, entry.value) for entry in trusted])
        stand_in = folder / "common"
        shutil.rmtree(stand_in, ignore_errors=True)  # it has links and a file: nothing behind a link is touched
        _folder(stand_in)
        for name in _MADE:
            with suppress(OSError):
                Path(common, name).mkdir(exist_ok=True)
        if any(entry.key.startswith("filter.lfs.") for entry in entries):
            with suppress(OSError):
                Path(common, "lfs").mkdir(exist_ok=True)
        for name in {*_LINKED, *_names(Path(common))} - _NOT_LINKED:
            if not name.endswith(".lock"):
                (stand_in / name).symlink_to(Path(common, name))
        _folder(stand_in / "info")
        for name in _COPIED:
            with suppress(OSError):
                _write_bytes(stand_in / "info" / name, Path(common, "info", name).read_bytes())
        _write_text(stand_in / "config", config_file(trusted))

    def _distrust(self, folder: Path, entries: Iterable[ConfigEntry]) -> None:
        added = {(entry.key, entry.value) for entry in entries if entry.key not in _ALWAYS_TRUSTED}
        _write(folder / "distrusted", sorted(self._distrusted(folder) | added))

    def _distrusted(self, folder: Path) -> set[tuple[str, str]]:
        with suppress(OSError, ValueError):
            return {(key, value) for key, value in json.loads((folder / "distrusted").read_text())}
        return set()

    # --- Places -------------------------------------------------------------------------------------------------------

    def record(self, place: PinnedPlace) -> None:
        """Record a worktree that was made."""
        if self._folder is not None:
            with self._locked():
                self._record(place)

    @contextmanager
    def moving(self, path: str, to: str) -> Iterator[None]:
        """Move what is recorded of a worktree while the body moves it; it is on record in both places meanwhile."""
        found = self._read(path)
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
        if self._folder is not None:
            for name in {os.path.abspath(path), os.path.realpath(path)}:
                self._place_file(name).unlink(missing_ok=True)

    def _read(self, path: str) -> PinnedPlace | None:
        if self._folder is None:
            return None
        with suppress(OSError, ValueError):
            return decode_json(self._place_file(os.path.abspath(path)).read_bytes(), PinnedPlace)
        return None

    def _record(self, place: PinnedPlace) -> None:
        _write_bytes(self._place_file(place.path), msgspec.json.encode(place))

    def _place_file(self, path: str) -> Path:
        assert self._folder is not None, "looked at by all callers"
        return self._folder / "places" / sha256(os.fsencode(path)).hexdigest()[:32]

    def _repository(self, common_dir: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / "repositories" / sha256(os.fsencode(os.path.realpath(common_dir))).hexdigest()[:32]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        assert self._folder is not None, "looked at by all callers"
        for name in ("", "places", "repositories"):
            _folder(self._folder / name)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _is_idle(owner: Path) -> bool:
    with suppress(OSError):
        return owner.read_text() == _IDLE
    return True


def own_settings(entries: Iterable[ConfigEntry]) -> dict[str, str]:
    """Return the settings of one worktree alone that are kept for it."""
    return {entry.key: entry.value for entry in entries if entry.scope == "worktree" and entry.key in _SPARSE}


def _own(entries: Iterable[ConfigEntry]) -> list[ConfigEntry]:
    """Return the entries of the repository itself; included files are already part of them."""
    return [
        entry
        for entry in entries
        if entry.scope == "local" and entry.key not in _DROPPED and not entry.key.startswith("includeif.")
    ]


# --- Files ------------------------------------------------------------------------------------------------------------

_ESCAPED: Mapping[str, str] = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\b": "\\b"}


def config_file(entries: Iterable[ConfigEntry]) -> str:
    """Return a configuration file with these entries (git-config(1), "Syntax").

    >>> config_file([ConfigEntry("local", "", "filter.a.clean", "x")])
    '[filter "a"]\\n\\tclean = "x"\\n'
    """
    lines = []
    for entry in entries:
        section, _, rest = entry.key.partition(".")
        subsection, dot, name = rest.rpartition(".")
        quoted = subsection.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'[{section} "{quoted}"]' if dot else f"[{section}]")
        value = "".join(_ESCAPED.get(letter, letter) for letter in entry.value)
        lines.append(f'\t{name} = "{value}"')
    return "".join(f"{line}\n" for line in lines)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _folder(path: Path) -> Path:
    make_private_folder(path)
    return path


def _write(file: Path, content: object) -> None:
    _write_text(file, json.dumps(content))


def _write_text(file: Path, text: str) -> None:
    _write_bytes(file, text.encode("utf-8", "surrogateescape"))


def _lead(file: Path, target: str, *, relative_to: str, prefix: str = "") -> None:
    """Make a file that names a path name `target`, unless it does."""
    with suppress(OSError):
        text = os.fsdecode(file.read_bytes()).rstrip("\r\n")
        if text.startswith(prefix):
            named = os.path.join(relative_to, text.removeprefix(prefix).lstrip(" "))
            if os.path.realpath(named) == os.path.realpath(target):
                return
    with NamedTemporaryFile(dir=file.parent, prefix=".aura-", delete=False) as new:
        new.write(os.fsencode(f"{prefix}{target}\n"))
    os.chmod(new.name, 0o644)  # as git makes it
    os.replace(new.name, file)


def _write_bytes(file: Path, content: bytes) -> None:
    """Write a private file, all of it or nothing."""
    new = file.parent.parent / f"{file.parent.name}-{file.name}.new"  # not where names are listed
    with open(new, "wb", opener=private_opener) as written:
        written.write(content)
    new.replace(file)
