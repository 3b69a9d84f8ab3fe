"""Store: the event log on memory, SQLite and PostgreSQL, and what is made of it: read models, audit, time travel."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_store._open import open_log

__all__ = ["open_log"]

_HOMES = {"open_log": "aura_store._open"}


def __getattr__(name: str) -> object:
    """Import what is asked for: every pytest run loads `aura_store.testing.plugin`, and must not pay for the rest."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
