"""Key: the signing key of an AURA installation, in a file that only its user can read. Blocks."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import TASK_TOKEN
from aura_engine.agent_tools.token import SECRET_LENGTH, TaskScope, TokenRefused, scope_of

FILE = "secret"
"""Its name in AURA's data folder."""


def read_key(home: Path) -> bytes | None:
    """Return the key of the installation at `home`, None without one. Raises `InvalidInput` for a damaged one.

    Raises `OSError` where it cannot be read.
    """
    path = home / FILE
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(secret) != SECRET_LENGTH:
        reason = f"{path} has {len(secret)} bytes, not {SECRET_LENGTH}"
        raise InvalidInput(field=FILE, reason=reason, remedy="delete it; agents at work lose their tools")
    return secret


def key_of(home: Path) -> bytes:
    """Return the key of the installation at `home`; creates it if missing, completely or not at all."""
    found = read_key(home)
    if found is not None:
        return found
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=home, delete=False) as file:  # readable by its user only, from the start
        file.write(secrets.token_bytes(SECRET_LENGTH))
        file.flush()
        os.fsync(file.fileno())
    try:
        (home / FILE).hardlink_to(file.name)  # the first writer wins
    except FileExistsError:
        pass
    finally:
        Path(file.name).unlink()
    made = read_key(home)
    assert made is not None, "it exists, created here or by another process"
    return made


def scope_in(environment: Mapping[str, str], home: Path) -> TaskScope:
    """Return the scope of the token in an agent's environment. Raises `TokenRefused`."""
    token = environment.get(TASK_TOKEN)
    if not token:
        raise TokenRefused(reason=f"{TASK_TOKEN} is not set")
    key = read_key(home)
    if key is None:
        raise TokenRefused(reason=f"no token was issued from this AURA_HOME: {home}")
    return scope_of(key, token)
