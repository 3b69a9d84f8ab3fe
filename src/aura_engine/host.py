"""Host: the defaults of clock, ids, environment, user and folders.

The only module of the library that inspects the machine it runs on; all others receive what they need."""

import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.actors import Actor, human, is_person, not_a_person, observer
from aura_contracts.approval import WAIT_LIMIT, AnswerSource, WaitingTimes
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import IdFactory, uuid7_factory
from aura_contracts.ports import Clock
from aura_contracts.private_files import make_private_folder, write_private


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


_CHANCE = random.Random()  # noqa: S311 - ids are unique, not secret; asking the system for each is a call of its own
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_CHANCE.seed)  # or parent and child would make the same ids


def new_ids() -> IdFactory:
    """Return a factory of ids from the machine's clock and randomness."""
    return uuid7_factory(lambda: time.time_ns() // 1_000_000, _CHANCE.getrandbits)


def read_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the content of a file that is written once, completely or not at all; `make` makes it if it is missing.

    Only its user can read the file. Blocks. Raises `OSError`.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        make_private_folder(path.parent)
    write_private(path, make(), once=True)
    return path.read_bytes()


def home_of(environment: Mapping[str, str]) -> Path:
    """Return the folder of AURA's data: AURA_HOME, or the platform's folder for user data."""
    given = environment.get("AURA_HOME")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_data_path  # noqa: PLC0415 - only where AURA_HOME is not set

    return user_data_path("aura", appauthor=False)


def user_of(environment: Mapping[str, str]) -> Actor:
    """Return the user: AURA_USER, or the login name; an observer if AURA_ROLE says so.

    Raises `InvalidInput` if neither is known or can be a name.
    """
    from getpass import getuser  # noqa: PLC0415 - who only reads needs no name

    try:
        name = environment.get("AURA_USER") or getuser()
    except (OSError, KeyError) as error:  # a user id without a name, as in a container
        reason = f"the login name is unknown: {error}"
        raise InvalidInput(field="AURA_USER", reason=reason, remedy="set AURA_USER to your name") from error
    require_person(name, "AURA_USER")
    role = environment.get("AURA_ROLE") or "member"
    if role not in ("member", "observer"):
        remedy = "use member or observer"
        raise InvalidInput(field="AURA_ROLE", reason=f"{ascii(role)[:80]} is not a role", remedy=remedy)
    return observer(name) if role == "observer" else human(name)


def require_person(name: Any, field: str) -> None:
    """Raise `InvalidInput` unless `name` can be the name of a person, wherever AURA asks for one: see `is_person`."""
    if not is_person(name):
        reason, remedy = not_a_person(name)
        raise InvalidInput(field=field, reason=reason, remedy=remedy)


def _seconds(text: str, field: str) -> float:
    """Return a time for which something may wait. Raises `InvalidInput`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= WAIT_LIMIT:
        reason = f"{ascii(text)[:80]} is not a number of seconds above 0, and at most {WAIT_LIMIT:.0f}"
        raise InvalidInput(field=field, reason=reason, remedy="write seconds: 86400 is a day")
    return seconds


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        remedy = "change to a folder that exists"
        raise InvalidInput(field="the current folder", reason="it was removed", remedy=remedy) from error


@attrs.frozen(kw_only=True)
class Host:
    """The machine that the engine runs on."""

    clock: Clock = now
    ids: IdFactory = attrs.field(factory=new_ids)
    random: Callable[[], float] = random.random
    environment: Mapping[str, str] = attrs.field(factory=lambda: dict(os.environ), repr=False)
    """The environment of scripts and agents; its PATH locates programs."""
    folder: Path = attrs.field(factory=_current_folder)
    """The base of relative paths."""

    source: AnswerSource = attrs.field(factory=lambda: AnswerSource(host=os.uname().nodename))
    """Where the user's decisions come from."""

    @property
    def home(self) -> Path:
        """The folder of AURA's data, see `home_of`."""
        return home_of(self.environment)

    @property
    def base_url(self) -> str | None:
        """Where the pages of this installation are: AURA_BASE_URL."""
        return self.environment.get("AURA_BASE_URL") or None

    @property
    def waiting_times(self) -> WaitingTimes:
        """How long questions wait: AURA_REMIND_AFTER, AURA_ESCALATE_AFTER, AURA_ANSWER_WITHIN, each in seconds.

        Raises `InvalidInput`.
        """
        named = {name: f"AURA_{name.upper()}" for name in WaitingTimes.__struct_fields__}
        given = {name: text for name, variable in named.items() if (text := self.environment.get(variable))}
        return WaitingTimes(**{name: _seconds(text, named[name]) for name, text in given.items()})

    @property
    def user(self) -> Actor:
        """The user, see `user_of`."""
        return user_of(self.environment)
