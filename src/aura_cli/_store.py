"""The store of a run: what the command line asks of it before the library does."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from aura_contracts.errors import StoreMisconfigured

if TYPE_CHECKING:
    from aura_cli._settings import Settings


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite store, None for stores of other kinds."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def require_made(url: str) -> None:
    """Raise `StoreMisconfigured` where a command that only makes sense on a log with events would make an empty one."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        remedy = "check --store and AURA_STORE; `aura demo --store URL` makes one to try things on"
        raise StoreMisconfigured(store=url, reason="there is no such store", remedy=remedy)


def hint_of(settings: "Settings") -> str:
    """Return what a proposed command has to end with, where the store was named on the command line.

    Nothing for stores on a server: their URL may hold a password, which is to be in no output and no log of one.
    """
    if settings.store_given and sqlite_path(settings.store) is not None:
        return f" --store {shlex.quote(settings.store)}"
    return ""
