"""Which settings of a repository are the user's, and which an agent's: those that changed while it was pinned.

Settings are keys and values: those of the configuration, and files that say what git leaves out, with their digests.
See `_pins` for the files ``pinned``, ``distrusted`` and ``unseen``, and for the lock under which they change.

While a file that an agent included is still included, all other changes count as the agent's, too: what that file
brings may depend on a branch, or arrive with a merge.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from aura_contracts.private_files import make_private_folder
from aura_git.commandline._output import ConfigEntry
from aura_git.repository import _stand_in
from aura_git.repository._records import read_record, write_record
from aura_git.repository._stand_in import FORMAT

_PER_WORKTREE = "extensions.worktreeconfig"
"""It brings settings of one worktree, which are not used."""

_ALWAYS_TRUSTED = FORMAT | {"user.name", "user.email"}
"""Settings that name no program, nor a place, as a URL in `extensions.refStorage` does."""

_KEPT = ("core.", "diff.", "filter.", "merge.")
"""Settings that stay in force when an agent removes them: they say what is committed, and in which form."""

Setting = tuple[str, str]


class Distrusted(msgspec.Struct, frozen=True):
    """What changed while an agent worked."""

    added: list[Setting] = []
    """Settings that appeared: left out until they were removed once."""
    gone: list[Setting] = []
    """The user's settings that were removed or replaced: kept until they are back, or the user has set others."""

    def left(self, common: str, entries: Iterable[ConfigEntry]) -> set[str]:
        """Return the names of settings and files that are still as the agent left them."""
        live = set(_live(common, entries))
        return {key for key, _ in live.intersection(self.added) | set(self.gone).difference(live)}


def recorded_settings(file: Path) -> list[Setting]:
    return read_record(file, list[Setting]) or []


def recorded_distrust(folder: Path) -> Distrusted:
    return read_record(folder / "distrusted", Distrusted) or Distrusted()


def renew(folder: Path, common: str, entries: list[ConfigEntry]) -> None:
    """Put a stand-in with the live configuration in force, without what is distrusted."""
    make_private_folder(folder)
    live = _live(common, entries)
    if (folder / "unseen").exists() or any(_is_include(key) for key, _ in _added(folder, live)):
        distrust(folder, common, entries)
    (folder / "unseen").unlink(missing_ok=True)
    added = _added(folder, live)
    before = recorded_settings(folder / "pinned")
    chosen = {key for key, _ in set(live).difference(added, before)}
    gone = [one for one in recorded_distrust(folder).gone if one not in live and one[0] not in chosen]
    replaced = {key for key, _ in gone}
    kept = [one for one in before if one[0] in replaced]
    write_record(folder / "distrusted", Distrusted(sorted(added), gone))
    write_record(folder / "pinned", [*(one for one in live if one not in added and one[0] not in replaced), *kept])
    trusted = [
        *(one for one in entries if _is_own(one) and (one.key, one.value) not in added and one.key not in replaced),
        *(ConfigEntry("local", "", key, value) for key, value in kept),
    ]
    with_lfs = any(entry.key.startswith("filter.lfs.") for entry in (*entries, *trusted))
    files = {name for name, _ in added if name in _stand_in.TRUST_CHECKED}
    _stand_in.put_in_force(folder, common, trusted, with_lfs=with_lfs, kept=files)


def distrust(folder: Path, common: str, entries: Iterable[ConfigEntry]) -> None:
    """Distrust how these settings, and the files that say what git leaves out, differ from what is pinned."""
    live, before = set(_live(common, entries)), set(recorded_settings(folder / "pinned"))
    added = {(key, value) for key, value in live - before if key not in _ALWAYS_TRUSTED or ":" in value}
    gone = {(key, value) for key, value in before - live if key.startswith(_KEPT) and key not in FORMAT}
    known = recorded_distrust(folder)
    write_record(folder / "distrusted", Distrusted(sorted(added.union(known.added)), sorted(gone.union(known.gone))))


def _added(folder: Path, live: Iterable[Setting]) -> set[Setting]:
    """Return the settings that an agent added and that are still there."""
    return set(recorded_distrust(folder).added).intersection(live)


def _live(common: str, entries: Iterable[ConfigEntry]) -> list[Setting]:
    """Return the settings of a repository, and the digests of the files that are trusted like settings."""
    settings = [(entry.key, entry.value) for entry in entries if entry.scope == "local" and entry.key != _PER_WORKTREE]
    return [*settings, *_stand_in.checked_files(common)]


def _is_include(key: str) -> bool:
    return key.startswith(("include.", "includeif."))


def _is_own(entry: ConfigEntry) -> bool:
    """Whether an entry is one of the repository itself; included files are already part of them."""
    return entry.scope == "local" and entry.key != _PER_WORKTREE and not _is_include(entry.key)
