"""Key: the signing key of an AURA installation, in a file that only its user can read. Blocks."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import TASK_TOKEN
from aura_engine.agent_tools.token import SECRET_LENGTH, TaskScope, TokenRefused, scope_of
from aura_engine.host import read_or_create

FILE = "secret"
"""Its name in AURA's data folder."""


def read_key(home: Path) -> bytes | None:
    """Return the key of the installation at `home`, None without one. Raises `InvalidInput` for a damaged one.

    Raises `OSError` where it cannot be read.
    """
    try:
        return _checked((home / FILE).read_bytes(), home)
    except FileNotFoundError:
        return None


def key_of(home: Path) -> bytes:
    """Return the key of the installation at `home`; creates it if missing. Raises `InvalidInput` for a damaged one."""
    return _checked(read_or_create(home / FILE, lambda: secrets.token_bytes(SECRET_LENGTH)), home)


def _checked(secret: bytes, home: Path) -> bytes:
    if len(secret) != SECRET_LENGTH:
        reason = f"{home / FILE} has {len(secret)} bytes, not {SECRET_LENGTH}"
        raise InvalidInput(field=FILE, reason=reason, remedy="delete it; agents at work lose their tools")
    return secret


def scope_in(environment: Mapping[str, str], home: Path) -> TaskScope:
    """Return the scope of the token in an agent's environment. Raises `TokenRefused`."""
    token = environment.get(TASK_TOKEN)
    if not token:
        raise TokenRefused(reason=f"{TASK_TOKEN} is not set")
    key = read_key(home)
    if key is None:
        raise TokenRefused(reason=f"no token was issued from this AURA_HOME: {home}")
    return scope_of(key, token)
