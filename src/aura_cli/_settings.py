"""Settings: what arguments and environment say together. The only place that reads the environment."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.actors import Actor, human
from aura_contracts.errors import InvalidInput

PATIENCE = 10.0
"""Seconds that somebody at a terminal waits for a database that is away."""


@attrs.frozen(kw_only=True)
class Settings:
    """How this run of `aura` is to be done."""

    store: str
    """The URL of the store."""

    store_given: bool
    """Whether the store was named on the command line."""

    encryption_key: str | None = attrs.field(repr=False)
    compression: Any
    """Judged by the store."""

    json: bool
    quiet: bool
    color: bool
    """Whether colour is wanted, if there is a terminal to show it."""

    @property
    def codec(self) -> dict[str, Any]:
        """How the bytes in the store are to be read, as arguments for `open_log`."""
        return {"encryption_key": self.encryption_key, "compression": self.compression}

    @property
    def reading(self) -> dict[str, Any]:
        """How a command that only reads opens the store, as arguments for `open_log`."""
        return {"read_only": True, "outage_timeout": PATIENCE, **self.codec}


def read_settings(arguments: argparse.Namespace, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; an argument goes before the environment, an empty variable is none."""
    given = {name: value for name, value in (environment or os.environ).items() if value}
    compression = arguments.compression or given.get("AURA_COMPRESSION")
    return Settings(
        store=arguments.store or given.get("AURA_STORE") or _default_store(given),
        store_given=arguments.store is not None,
        encryption_key=given.get("AURA_ENCRYPTION_KEY"),
        compression=None if compression == "none" else compression,
        json=arguments.json,
        quiet=arguments.quiet,
        color=not (arguments.no_color or "NO_COLOR" in given or given.get("TERM") == "dumb"),
    )


def debugging() -> bool:
    """Whether somebody wants to see tracebacks."""
    return bool(os.environ.get("AURA_DEBUG"))


def _default_store(given: Mapping[str, str]) -> str:
    home = given.get("AURA_HOME")
    if home is None:
        from platformdirs import user_data_path

        folder = user_data_path("aura", appauthor=False)
    else:
        folder = Path(home).expanduser().absolute()
    return f"sqlite:///{folder / 'aura.db'}"


def acting_user(environment: Mapping[str, str] | None = None) -> Actor:
    """Return who is at the keyboard: AURA_USER, or the login. Raises `InvalidInput` when neither is known."""
    from getpass import getuser

    try:
        return human((environment or os.environ).get("AURA_USER") or getuser())
    except (OSError, KeyError) as error:  # a user id without a name, as in a container
        reason = f"the machine does not know your name: {error}"
        raise InvalidInput(field="AURA_USER", reason=reason, remedy="set AURA_USER to your name") from error
