"""Access: what lets an agent act on its own task: a signed token, and the server of its tools.

    token = token_for(key_of(home), TaskScope(task_id=task.id, execution_id=execution.id))
    scope_of(key_of(home), token).task_id

A token names the task and the execution, says whether only an engine can ask all policies, and is signed with the key
of this installation. It identifies the caller but does not expire: the code that accepts one checks that its execution
is still running, see `aura_engine.agent_tools.api`. Its payload is both ids and a byte that is 0 or 1.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import attrs

from aura_contracts.errors import AuraError, InvalidInput
from aura_contracts.ids import ExecutionId, TaskId
from aura_contracts.ports.executors import TASK_TOKEN, AgentTools, ToolServer
from aura_contracts.store_url import StoreUrl
from aura_engine.host import read_or_create
from aura_engine.signed_tokens import SECRET_LENGTH, TokenFormat

# --- Tokens -----------------------------------------------------------------------------------------------------------

_FORM = TokenFormat("aura1", b"aura task token 1\0")


class TokenRefused(AuraError, code="token_refused"):
    """A token that this installation does not accept."""

    summary = "the token is not accepted: {reason}"
    reason: str
    remedy: str = "start it with AURA_TASK_TOKEN, AURA_STORE and AURA_HOME as AURA sets them for an agent"


class ScopeEnded(AuraError, code="scope_ended"):
    """The run of an agent has ended, and its rights with it."""

    summary = "the run {execution_id} has ended ({status})"
    execution_id: str
    status: str
    remedy: str = "stop: reports from this run are no longer accepted"


@attrs.frozen(kw_only=True)
class TaskScope:
    """A task, and the execution in which an agent works on it."""

    task_id: TaskId
    execution_id: ExecutionId
    has_callables: bool = False
    """Whether policies of the embedding program are in force, which only its engine can ask."""


def token_for(secret: bytes, scope: TaskScope) -> str:
    """Return the token of `scope`; equal scopes give equal tokens."""
    payload = UUID(scope.task_id).bytes + UUID(scope.execution_id).bytes + bytes([scope.has_callables])
    return _FORM.token(secret, payload)


def scope_of(secret: bytes, token: str) -> TaskScope:
    """Return the scope of `token`. Raises `TokenRefused` unless `token_for` made it with this secret."""
    if token.partition(".")[0] != _FORM.version:
        raise TokenRefused(reason=f"it does not begin with {_FORM.version}")
    payload = _FORM.payload_of(token)
    if len(payload) != 33:
        raise TokenRefused(reason="it is cut, or was changed")
    if not _FORM.is_genuine(secret, token) or payload[32] > 1:
        raise TokenRefused(reason="it was made with another secret, is cut, or was changed")
    return TaskScope(
        task_id=TaskId(str(UUID(bytes=payload[:16]))),
        execution_id=ExecutionId(str(UUID(bytes=payload[16:32]))),
        has_callables=bool(payload[32]),
    )


# --- The key ----------------------------------------------------------------------------------------------------------

KEY_FILE = "secret"
"""Its name in AURA's data folder."""


def read_key(home: Path) -> bytes | None:
    """Return the key of the installation at `home`, None without one. Raises `InvalidInput` for a damaged one.

    Raises `OSError` where it cannot be read.
    """
    try:
        return _checked((home / KEY_FILE).read_bytes(), home)
    except FileNotFoundError:
        return None


def key_of(home: Path) -> bytes:
    """Return the key of the installation at `home`; creates it if missing. Raises `InvalidInput` for a damaged one.

    Only its user can read the file.
    """
    return _checked(read_or_create(home / KEY_FILE, lambda: secrets.token_bytes(SECRET_LENGTH)), home)


def _checked(secret: bytes, home: Path) -> bytes:
    if len(secret) != SECRET_LENGTH:
        reason = f"{home / KEY_FILE} has {len(secret)} bytes, not {SECRET_LENGTH}"
        raise InvalidInput(field=KEY_FILE, reason=reason, remedy="delete it; agents at work lose their tools")
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


# --- The server -------------------------------------------------------------------------------------------------------

SERVER_NAME = "aura"
"""The name of the server in agents."""


def tools_for(
    token: str,
    *,
    python: str,
    store: str,
    home: Path,
    folder: Path,
    encryption_key: str | None = None,
    compression: str | None = None,
) -> AgentTools:
    """Return the tools of the agent with `token`; the other arguments are those that opened the engine's store.

    `python` runs this AURA, and `folder` is the base of relative paths. Unset options become empty variables, so that
    the server does not inherit them from AURA's environment. Raises `InvalidInput` for a store that no other process
    can open.
    """
    if store.partition(":")[0] == "memory":
        reason = "it is in the memory of one process, where the agent's tools cannot reach it"
        raise InvalidInput(field="store", reason=reason, remedy="use sqlite:///PATH, or run without the tools")
    environment = {
        TASK_TOKEN: token,
        "AURA_STORE": str(StoreUrl.parse(store).seen_from(folder)),
        "AURA_HOME": str(folder / home),
        "AURA_COMPRESSION": compression or "none",
        "AURA_ENCRYPTION_KEY": encryption_key or "",
    }
    # -P: do not import modules from the folder that the agent works in
    command = (python, "-P", "-m", "aura_cli", "mcp")
    return AgentTools(
        server=ToolServer(name=SERVER_NAME, command=command, environment=tuple(environment)), environment=environment
    )
