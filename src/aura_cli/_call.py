"""Invocation: a command as it was called, with its arguments, its terminal and its engine."""

import shlex
from argparse import Namespace
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from aura_cli._settings import Settings
from aura_cli.rendering.terminal import Terminal
from aura_contracts.errors import InvalidInput, StoreMisconfigured
from aura_contracts.private_files import make_private_folder
from aura_contracts.store_url import StoreUrl

if TYPE_CHECKING:
    from aura_contracts.ports.rows import Page
    from aura_engine import Engine

R = TypeVar("R")

OUTAGE_TIMEOUT = 10.0
"""Seconds to wait for an unreachable database while a human waits at the terminal."""

PAGE = 1000
"""Rows per page of a list."""


@attrs.frozen
class Invocation:
    """The context of a command."""

    arguments: Namespace
    settings: Settings
    terminal: Terminal

    @property
    def hint(self) -> str:
        """The suffix of suggested commands: the store, if it was named on the command line.

        Empty for stores on a server: their URL may contain a password, which must not appear in output.
        """
        if self.settings.store_given and sqlite_path(self.settings.store) is not None:
            return f" --store {shlex.quote(self.settings.store)}"
        return ""

    def is_first(self) -> bool:
        """Return whether the default store does not exist yet, and if so, print a note.

        A named store must exist: treating it as empty would hide a misspelt name.
        """
        path = sqlite_path(self.settings.store) if self.settings.store_default else None
        if path is None or path.exists():
            return False
        self.terminal.say(f"no store yet at {path}; `aura run` creates it, `aura demo` shows what it is for")
        return True


@asynccontextmanager
async def engine_of(
    call: Invocation,
    *,
    read_only: bool = False,
    record_only: bool = False,
    auditing: bool = False,
    make: bool = False,
    store: str | None = None,
    folder: str = ".",
) -> AsyncIterator["Engine"]:
    """Open an engine for a command, with the profiles of the project that contains `folder`.

    A missing store is created with `make`; with `read_only`, a missing default store counts as empty. Otherwise raises
    `StoreMisconfigured`.
    """
    from aura_cli.rendering.log_lines import quote_log_lines
    from aura_engine import Host, open_engine

    quote_log_lines()
    settings = call.settings
    url = store or settings.store
    if make:
        make_room(url)
    elif read_only and store is None and call.is_first():
        url = "memory:"
    else:
        require_made(url)
    async with open_engine(
        url,
        home=settings.home,
        project=project_of(folder),
        grace=settings.grace,
        read_only=read_only,
        record_only=record_only,
        auditing=auditing,
        host=Host(environment=settings.environment),
        outage_timeout=OUTAGE_TIMEOUT,
        **settings.codec,
    ) as engine:
        yield engine


async def all_rows(list_: Callable[..., "Awaitable[Page[R]]"], **filters: Any) -> AsyncGenerator[R, None]:
    """Yield all rows of `list_`, a `list` method of the engine, oldest first."""
    cursor = None
    while True:
        page = await list_(**filters, descending=False, limit=PAGE, cursor=cursor)
        for row in page.rows:
            yield row
        cursor = page.next_cursor
        if cursor is None:
            return


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite store, or None for other stores. Raises `StoreMisconfigured` for any other text."""
    return StoreUrl.parse(url).path


def read_text(path: str, field: str) -> str:
    """Return a text file, without a byte order mark. Raises `InvalidInput`, naming `field`, if it cannot be read."""
    try:
        return Path(path).read_text("utf-8-sig")
    except OSError as error:
        remedy = "check the path and its permissions"
        raise InvalidInput(field=field, reason=f"{path}: {error.strerror or error}", remedy=remedy) from error
    except ValueError as error:  # also a NUL in the path
        reason = f"{path!r} is not a text file in UTF-8: {error}"
        raise InvalidInput(field=field, reason=reason, remedy="save it as UTF-8") from error


def require_made(url: str) -> None:
    """Raise `StoreMisconfigured` for a store that does not exist: it must not be created empty, nor pass a check."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        remedy = "check --store, AURA_STORE and AURA_HOME; `aura demo --store URL` creates one to explore"
        raise StoreMisconfigured(store=url, reason="the store does not exist", remedy=remedy)


def make_room(url: str) -> None:
    """Create the folder for an SQLite store."""
    path = sqlite_path(url)
    if path is not None:
        make_private_folder(path.parent)


def project_of(path: str) -> Path | None:
    """Return the nearest folder with project settings, from `path` up to the top of its repository."""
    start = Path(path).absolute()
    for folder in (start, *start.parents):
        if (folder / ".aura").is_dir():
            return folder
        if (folder / ".git").exists():
            return None
    return None
