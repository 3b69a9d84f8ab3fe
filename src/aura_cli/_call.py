"""Invocation: a command as it was called, with its arguments, its terminal and its engine."""

import os
import shlex
from argparse import Namespace
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from aura_cli._settings import Settings
from aura_cli.rendering.terminal import Terminal
from aura_contracts.errors import AuraError, StoreMisconfigured
from aura_contracts.private_files import make_private_folder
from aura_contracts.store_url import StoreUrl

if TYPE_CHECKING:
    from aura_contracts.approval import AnswerSource
    from aura_contracts.ports.rows import Page
    from aura_engine import Engine

R = TypeVar("R")

READ_TIMEOUT = 10.0
"""Seconds to wait for an unreachable database while a human waits for what a command reads."""

RECORD_TIMEOUT = 30.0
"""The same where a command records: a database may take a while to restart."""

DUE_AT_ONCE = 200
"""The most timers that a command fires before its own work; the rest is left to the next one."""

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
    fires: bool = True,
) -> AsyncIterator["Engine"]:
    """Open an engine for a command, with the profiles of the project that contains `folder`.

    A missing store is created with `make`; with `read_only`, a missing default store counts as empty. Otherwise raises
    `StoreMisconfigured`. Unless it only reads, or not `fires`, it first does what is due, in place of a service.
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
        host=Host(environment=settings.environment, source=_source()),
        outage_timeout=READ_TIMEOUT if read_only else RECORD_TIMEOUT,
        **settings.codec,
    ) as engine:
        if fires and not (read_only or auditing):
            await _do_what_is_due(call, engine)
        yield engine


async def _do_what_is_due(call: Invocation, engine: "Engine") -> None:
    """Remind, escalate and expire what is due, and say so. What cannot be done now is left to the next command.

    An expiry is a decision, and may mean to continue: it is said whatever the output is.
    """
    try:
        due = await engine.timers.fire_due(limit=DUE_AT_ONCE)
    except AuraError:  # the command itself says what is wrong with the store, if it matters to it
        return
    if due:
        from aura_cli.rendering.formatting import counted

        counts = Counter(_DUE[timer.purpose] for timer in due)
        done = ", ".join(counted(number, thing) for thing, number in counts.items())
        expired = [timer.stream_id for timer in due if timer.purpose == "expire"]
        text = f"was due and is done first: {done}"
        if expired:
            more = f" and {len(expired) - _NAMED} more" if len(expired) > _NAMED else ""
            text = f"{text}; expired: {', '.join(expired[:_NAMED])}{more}"
            call.terminal.notice({"notice": "expired", "message": text, "approvals": expired}, text)
        else:
            call.terminal.say(text)


_NAMED = 5
"""The most approvals that a message names."""

_DUE = {"remind": "reminder", "escalate": "escalation", "expire": "deadline"}


def _source() -> "AnswerSource":
    """Return where the decisions of this command come from."""
    from aura_contracts.approval import AnswerSource, Channel

    try:
        terminal = os.ttyname(0)
    except OSError:
        terminal = ""
    return AnswerSource(channel=Channel.CLI, host=os.uname().nodename, session=terminal)


async def all_rows(list_: Callable[..., "Awaitable[Page[R]]"], **filters: Any) -> list[R]:
    """Return all rows of `list_`, a `list` method of the engine, oldest first."""
    rows: list[R] = []
    cursor = None
    while True:
        page = await list_(**filters, descending=False, limit=PAGE, cursor=cursor)
        rows += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return rows


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite store, or None for other stores. Raises `StoreMisconfigured` for any other text."""
    return StoreUrl.parse(url).path


def require_made(url: str) -> None:
    """Raise `StoreMisconfigured` for a store that does not exist: it must not be created empty, nor pass a check."""
    path = sqlite_path(url)
    if path is not None and not _exists(path):
        remedy = "check --store, AURA_STORE and AURA_HOME; `aura demo --store URL` creates one to explore"
        raise StoreMisconfigured(store=url, reason="the store does not exist", remedy=remedy)


def _exists(path: Path) -> bool:
    """Whether there is a file; a name that no file can have is the name of none."""
    try:
        return path.exists()
    except OSError:
        return False


def make_room(url: str) -> None:
    """Create the folder for an SQLite store. Raises `StoreMisconfigured` where there can be none."""
    path = sqlite_path(url)
    if path is None:
        return
    try:
        make_private_folder(path.parent)
    except OSError as error:
        reason = f"its folder cannot be made: {error.strerror or error}"
        remedy = "check --store, AURA_STORE and AURA_HOME"
        raise StoreMisconfigured(store=url, reason=reason, remedy=remedy) from error


def project_of(path: str) -> Path | None:
    """Return the nearest folder with project settings, from `path` up to the top of its repository."""
    start = Path(path).absolute()
    for folder in (start, *start.parents):
        if (folder / ".aura").is_dir():
            return folder
        if (folder / ".git").exists():
            return None
    return None
