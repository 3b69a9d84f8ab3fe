"""Secret: what an installation of AURA signs with, in a file of its folder that only its user can read. Blocks."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import TASK_TOKEN
from aura_engine.agent_tools.token import SECRET_LENGTH, TaskScope, TokenRefused, scope_of

FILE = "secret"
"""In the folder of AURA's data."""


def read_key(home: Path) -> bytes | None:
    """Return the secret of the installation at `home`, None if there is none. Raises `InvalidInput` for a damaged one.

    Raises `OSError` where it cannot be read.
    """
    path = home / FILE
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(secret) != SECRET_LENGTH:
        reason = f"{path} has {len(secret)} bytes, not {SECRET_LENGTH}"
        raise InvalidInput(field=FILE, reason=reason, remedy="delete it: agents at work lose what it was for")
    return secret


def key_of(home: Path) -> bytes:
    """Return the secret of the installation at `home`; made when there is none, whole or not at all."""
    found = read_key(home)
    if found is not None:
        return found
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=home, delete=False) as file:  # for its user alone, from the beginning
        file.write(secrets.token_bytes(SECRET_LENGTH))
        file.flush()
        os.fsync(file.fileno())
    try:
        (home / FILE).hardlink_to(file.name)  # whoever is first
    except FileExistsError:
        pass
    finally:
        Path(file.name).unlink()
    made = read_key(home)
    assert made is not None, "it is there, by whoever was first"
    return made


def scope_in(environment: Mapping[str, str], home: Path) -> TaskScope:
    """Return what the token in an agent's environment is for. Raises `TokenRefused`."""
    token = environment.get(TASK_TOKEN)
    if not token:
        raise TokenRefused(reason=f"{TASK_TOKEN} is not set")
    key = read_key(home)
    if key is None:
        raise TokenRefused(reason=f"no token was issued from this AURA_HOME: {home}")
    return scope_of(key, token)
