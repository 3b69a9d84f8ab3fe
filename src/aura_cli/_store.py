"""The store of a run: what the command line asks of it before the library does."""

from pathlib import Path

from aura_contracts.errors import StoreMisconfigured


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite store, None for stores of other kinds."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def require_made(url: str) -> None:
    """Raise `StoreMisconfigured` where a command that only makes sense on a log with events would make an empty one."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        remedy = "check --store and AURA_STORE; `aura demo --store URL` makes one to try things on"
        raise StoreMisconfigured(store=url, reason="there is no such store", remedy=remedy)
