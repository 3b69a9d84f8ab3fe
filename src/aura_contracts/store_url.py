"""Store URLs: the location of a store as one string.

sqlite:///relative.db            a file, relative to the current directory
sqlite:////absolute.db           a file
sqlite:////absolute.db?mode=ro   the same, read-only
postgresql://user@host/database  anything that libpq accepts
memory:                          gone when closed; any text after it distinguishes several in messages
"""

import re
from pathlib import Path
from typing import Final, Literal

import attrs

from aura_contracts.errors import StoreMisconfigured

Compression = Literal["zlib", "zstd"]
"""How events are compressed, chosen when a store is created; zstd needs the extra of that name."""

_SQLITE: Final = "sqlite:///"
_READ_ONLY: Final = "?mode=ro"
_REMEDY: Final = "use sqlite:///PATH, postgresql://USER@HOST/DATABASE or memory:"


@attrs.frozen
class StoreUrl:
    """A parsed store URL. `str()` returns it as given, possibly with a password; `public` never has one."""

    text: str
    kind: Literal["sqlite", "postgresql", "memory"]
    path: Path | None = None
    """The file of a SQLite store."""
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> "StoreUrl":
        """Parse a URL. Raises `StoreMisconfigured`; if `text` looks like a file path, the error shows its URL.

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
            reason="not a store URL",
            remedy=f"{_REMEDY}; for this file use {_SQLITE}{text}" if looks_like_a_path else _REMEDY,
        )

    def seen_from(self, folder: Path) -> "StoreUrl":
        """Return the URL of the same store for use from any directory; relative paths start in `folder`."""
        if self.path is None:
            return self
        return StoreUrl.parse(f"{_SQLITE}{folder / self.path}{_READ_ONLY if self.read_only else ''}")

    def __str__(self) -> str:
        return self.text


def without_password(url: str) -> str:
    """Return `url`, or a text that contains one, without passwords, even if it is malformed."""
    return re.sub(r"((?:^|[?&\s])\w*password=)[^&\s]*", r"\1***", re.sub(r"(://[^:/@\s]*):\S*@", r"\1@", url))
