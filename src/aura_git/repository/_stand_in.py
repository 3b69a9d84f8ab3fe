"""Stand-ins: what git gets in place of the common directory of a pinned repository.

In a stand-in, `config`, `shallow` and some of `info` are copies, and everything else is a symbolic link:

    <folder>/stand-ins/<digest>/    a stand-in, `GIT_COMMON_DIR` of a command
    <folder>/common                 a symbolic link to the one in force

Invariants:

- A stand-in is named by its content. It appears complete, by one rename, and does not change afterwards.
- Another one comes into force by one rename too. Commands that were given the one before keep to that.
- One that has not been in force for a day is removed: a command ends within minutes. (Git treats objects that nothing
  names in the same way.)
- Only the holder of the lock of the pins makes and removes stand-ins; readers need no lock.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from aura_contracts.private_files import make_private_folder, private_opener, write_private
from aura_git.commandline._output import ConfigEntry
from aura_git.repository._links import links_of
from aura_git.repository._paths import read_file
from aura_git.repository._records import read_record

_LINKED = ("HEAD", "objects", "refs", "packed-refs", "logs", "worktrees", "modules", "lfs")
"""Linked even before they exist; everything else if it exists."""

_MADE = ("logs", "worktrees")
"""Folders that git makes when it needs them, which it cannot through a link to nothing."""

_COPIED = {"info/exclude": b"", "info/attributes": b"* !diff\n", "shallow": b""}
"""Files that say what git leaves out, how it displays a file, which program it runs for it, and where history ends.

Each begins with a line of AURA's, if any. That on attributes wins over those in the worktree: an agent cannot have its
changes displayed as binary files.
"""

_PACKED = "packed-refs"
"""Linked to its real path: git replaces the file there."""

_LINKS = "aura-links"
"""Names the symbolic links of the user's in the common directory, see `links_of`."""

TRUST_CHECKED = ("info/attributes", "info/exclude")
"""Files that are used only while they are the user's."""

_NOT_LINKED = frozenset({"config", "config.worktree", "commondir", "gitdir", "hooks", "index", "info", "shallow"})

FORMAT = frozenset({"core.repositoryformatversion", "extensions.objectformat", "extensions.refstorage"})
"""Settings without which a repository cannot be read."""

_KEPT = 24 * 3600.0
"""Seconds for which a stand-in that is not in force any more is kept."""

_STAND_INS, _IN_FORCE = "stand-ins", "common"


def in_force(folder: Path) -> str:
    """Return the stand-in that is in force. Raises `OSError`."""
    return str(folder / os.readlink(folder / _IN_FORCE))


def users_links(stand_in: str) -> dict[str, str]:
    """Return what `links_of` returned when the stand-in was made. Raises `OSError`."""
    return read_record(Path(stand_in, _LINKS), dict[str, str]) or {}


def put_in_force(
    folder: Path, common: str, entries: Iterable[ConfigEntry], *, with_lfs: bool, kept: Collection[str] = ()
) -> None:
    """Put a stand-in for the directory `common`, as that is now, in force, with these settings.

    The files in `kept` are those of the one before. Raises `OSError`.
    """
    for name in (*_MADE, "lfs") if with_lfs else _MADE:
        with suppress(OSError):  # anything else in its place stays
            Path(common, name).mkdir(exist_ok=True)
    files = {"config": config_file(entries).encode("utf-8", "surrogateescape"), **_copies(common)}
    for name in kept:
        files.pop(name, None)
        with suppress(FileNotFoundError):
            files[name] = read_file(os.path.join(in_force(folder), name))
    linked = sorted({*_LINKED, *(name for name in os.listdir(common) if not name.endswith(".lock"))} - _NOT_LINKED)
    packed = os.path.realpath(os.path.join(common, _PACKED))
    files[_LINKS] = json.dumps(links_of(common)).encode()
    known = [linked, packed, {name: content.decode("latin-1") for name, content in files.items()}]
    digest = sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
    stand_in = folder / _STAND_INS / digest
    make_private_folder(stand_in.parent)
    if not stand_in.is_dir():
        _make(stand_in, {name: packed if name == _PACKED else os.path.join(common, name) for name in linked}, files)
    _switch(folder, stand_in)
    _sweep(stand_in)


def checked_files(common: str) -> Iterator[tuple[str, str]]:
    """Yield the names of the files in `TRUST_CHECKED`, each with its digest; "" for one that cannot be read."""
    for name in TRUST_CHECKED:
        try:
            yield name, sha256(read_file(os.path.join(common, name))).hexdigest()
        except OSError:
            yield name, ""


def _copies(common: str) -> dict[str, bytes]:
    copies = {name: line for name, line in _COPIED.items() if line}
    for name, line in _COPIED.items():
        with suppress(OSError):  # git, too, goes without a file that it cannot read
            copies[name] = line + read_file(os.path.join(common, name))
    return copies


def _make(stand_in: Path, linked: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    new = Path(tempfile.mkdtemp(prefix=".", dir=stand_in.parent))
    make_private_folder(new / "info")
    for name, place in linked.items():
        (new / name).symlink_to(place)
    for name, content in files.items():
        with open(new / name, "wb", opener=private_opener) as file:
            file.write(content)
    new.rename(stand_in)


def _switch(folder: Path, stand_in: Path) -> None:
    link, target = folder / _IN_FORCE, stand_in.relative_to(folder)
    if link.is_symlink():
        if link.readlink() == target:
            return
        with suppress(FileNotFoundError):
            os.utime(in_force(folder))  # from now on it is kept for so long
    new = folder / f"{_IN_FORCE}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def _sweep(current: Path) -> None:
    """Remove what is out of force long enough, and what was never finished."""
    oldest = time.time() - _KEPT
    for other in current.parent.iterdir():
        if other != current and (other.name.startswith(".") or other.stat().st_mtime < oldest):
            shutil.rmtree(other, ignore_errors=True)  # it has links and files: nothing behind a link is touched


def write_neutral(folder: Path, common: str, entries: Iterable[ConfigEntry]) -> None:
    """Make `folder` a stand-in that holds nothing of the settings of `common` but how to read it. Raises `OSError`."""
    make_private_folder(folder)
    for name in _LINKED:
        with suppress(FileExistsError):
            (folder / name).symlink_to(Path(common, name))
    write_private(folder / "config", config_file(entry for entry in entries if entry.key in FORMAT).encode())


# --- Configuration files ----------------------------------------------------------------------------------------------

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
