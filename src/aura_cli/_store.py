"""The store of a run: what the command line asks of it before the library does."""

import shlex
from typing import TYPE_CHECKING

from aura_contracts.errors import StoreMisconfigured
from aura_contracts.store_url import StoreUrl

if TYPE_CHECKING:
    from aura_cli._settings import Settings


def require_made(url: str) -> None:
    """Raise `StoreMisconfigured` where a command that only makes sense on a log with events would make an empty one."""
    path = StoreUrl.parse(url).path
    if path is not None and not path.exists():
        remedy = "check --store and AURA_STORE; `aura demo --store URL` makes one to try things on"
        raise StoreMisconfigured(store=url, reason="there is no such store", remedy=remedy)


def hint_of(settings: "Settings") -> str:
    """Return what a proposed command has to end with, where the store was named on the command line.

    Nothing for stores on a server: their URL may hold a password, which is to be in no output and no log of one.
    """
    if settings.store_given and StoreUrl.parse(settings.store).path is not None:
        return f" --store {shlex.quote(settings.store)}"
    return ""
