"""Where a store is, as one text.

sqlite:///relative.db            a file, seen from the current folder
sqlite:////absolute.db           a file
sqlite:////absolute.db?mode=ro   the same, only to be read
postgresql://user@host/database  whatever libpq takes
memory:                          gone when it is closed; what follows tells several apart in messages
"""

import re
from pathlib import Path
from typing import Final, Literal

import attrs

from aura_contracts.errors import StoreMisconfigured

Compression = Literal["zlib", "zstd"]
"""How events are compressed, chosen when a store is made; zstd needs the extra of this name."""

_SQLITE: Final = "sqlite:///"
_READ_ONLY: Final = "?mode=ro"
_REMEDY: Final = "use sqlite:///PATH, postgresql://USER@HOST/DATABASE or memory:"


@attrs.frozen
class StoreUrl:
    """A store's URL, parsed. `str()` is the URL as it was given, which may hold a password; `public` never does."""

    text: str
    kind: Literal["sqlite", "postgresql", "memory"]
    path: Path | None = None
    """The file of an SQLite store."""
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> "StoreUrl":
        """Return the parsed URL. Raises `StoreMisconfigured`, which for the path of a file says how to write it.

        >>> StoreUrl.parse("sqlite:///aura.db?mode=ro").path
        PosixPath('aura.db')
        """
        scheme, separator, rest = text.partition(":")
        if text.startswith(_SQLITE) and len(text) > len(_SQLITE):
            path = text.removeprefix(_SQLITE)
            return cls(text, "sqlite", Path(path.removesuffix(_READ_ONLY)), path.endswith(_READ_ONLY))
        if scheme in ("postgresql", "postgres") and rest.startswith("//"):
            return cls(text, "postgresql")
        if scheme == "memory" and separator:
            return cls(text, "memory")
        looks_like_a_path = bool(text) and "://" not in text and scheme != "sqlite"
        raise StoreMisconfigured(
            store=without_password(text),
            reason="this is not the URL of a store",
            remedy=f"{_REMEDY}; for this file {_SQLITE}{text}" if looks_like_a_path else _REMEDY,
        )

    def seen_from(self, folder: Path) -> "StoreUrl":
        """Return the URL of the same store for a process in any folder; relative paths begin in `folder`."""
        if self.path is None:
            return self
        return StoreUrl.parse(f"{_SQLITE}{folder / self.path}{_READ_ONLY if self.read_only else ''}")

    @property
    def public(self) -> str:
        """The URL without passwords, fit to be shown."""
        return without_password(self.text)

    def __str__(self) -> str:
        return self.text


def without_password(url: str) -> str:
    """Return `url`, or a text that holds it, without passwords, also when it is not quite a URL."""
    return re.sub(r"((?:^|[?&\s])\w*password=)[^&\s]*", r"\1***", re.sub(r"(://[^:/@\s]*):\S*@", r"\1@", url))
