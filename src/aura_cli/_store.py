"""Store: what the command line checks about it before the library opens it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from aura_contracts.errors import StoreMisconfigured

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite store, None for stores of other kinds."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def require_made(url: str) -> None:
    """Raise `StoreMisconfigured` for a store that does not exist, before a command would create an empty one."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        remedy = "check --store and AURA_STORE; `aura demo --store URL` creates one to explore"
        raise StoreMisconfigured(store=url, reason="the store does not exist", remedy=remedy)


def is_absent(settings: "Settings", terminal: "Terminal") -> bool:
    """Return whether this is the first command on a machine: the default store is not there yet. Says so.

    A store that was named must exist: treating it as empty would hide a misspelt name.
    """
    path = sqlite_path(settings.store) if settings.store_default else None
    if path is None or path.exists():
        return False
    terminal.say(f"no store yet at {path}; `aura run` creates it, `aura demo` shows what it is for")
    return True


def report_absent(settings: "Settings", terminal: "Terminal") -> bool:
    """Return whether `is_absent`, and write it as data too."""
    absent = is_absent(settings, terminal)
    if absent and terminal.json:
        terminal.write_json({"id": settings.store, "status": "not_created", "events": 0})
    return absent


def hint_of(settings: "Settings") -> str:
    """Return the end of a proposed command: the store, if it was named on the command line.

    Nothing for stores on a server: their URL may hold a password, which must not appear in output.
    """
    if settings.store_given and sqlite_path(settings.store) is not None:
        return f" --store {shlex.quote(settings.store)}"
    return ""
