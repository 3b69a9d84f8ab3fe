"""Settings: the arguments and the environment combined. The only module that reads the environment."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.lease import GRACE_LIMIT, RETURN_GRACE


@attrs.frozen(kw_only=True)
class Settings:
    """How this run of `aura` works."""

    store: str
    """The URL of the store."""

    store_given: bool
    """Whether the store was given on the command line."""

    store_default: bool
    """Whether the store was not given at all, and is the one in `home`."""

    home: Path
    """The folder of AURA's data."""

    grace: float
    """Seconds for which agents keep running when AURA dies."""

    environment: Mapping[str, str] = attrs.field(repr=False)
    """The environment that agents inherit, and in which programs are looked up."""

    encryption_key: str | None = attrs.field(repr=False)
    compression: Any
    """Validated by the store."""

    json: bool
    quiet: bool
    color: bool
    """Whether to use colour if the stream is a terminal."""

    @property
    def codec(self) -> dict[str, Any]:
        """The encryption key and compression of the store, as arguments for `open_engine`."""
        return {"encryption_key": self.encryption_key, "compression": self.compression}


def read_settings(arguments: argparse.Namespace, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings. Arguments take precedence over the environment; an empty variable counts as unset."""
    from aura_engine import Host

    environment = dict(environment or os.environ)
    given = {name: value for name, value in environment.items() if value}
    home = Host(environment=given).home
    compression = arguments.compression or given.get("AURA_COMPRESSION")
    return Settings(
        store=arguments.store or given.get("AURA_STORE") or f"sqlite:///{home / 'aura.db'}",
        store_given=arguments.store is not None,
        store_default=not (arguments.store or given.get("AURA_STORE")),
        home=home,
        grace=_grace(given),
        environment=environment,
        encryption_key=given.get("AURA_ENCRYPTION_KEY"),
        compression=None if compression == "none" else compression,
        json=arguments.json,
        quiet=arguments.quiet,
        color=not (arguments.no_color or "NO_COLOR" in given or given.get("TERM") == "dumb"),
    )


def debugging() -> bool:
    """Return whether to show tracebacks."""
    return bool(os.environ.get("AURA_DEBUG"))


def _grace(given: Mapping[str, str]) -> float:
    """Return AURA_GRACE, in seconds. Raises `InvalidInput` for anything else."""
    text = given.get("AURA_GRACE")
    try:
        seconds = RETURN_GRACE if text is None else float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= GRACE_LIMIT:
        reason = f"{text!r} is not a number of seconds from 0 to {GRACE_LIMIT:.0f}"
        raise InvalidInput(field="AURA_GRACE", reason=reason)
    return seconds
