"""Token: names the task that an agent may act on, signed with the key of this installation. Pure.

    token = token_for(secret, TaskScope(task_id=task.id, execution_id=execution.id))
    scope_of(secret, token).task_id

A token identifies the caller but does not expire: the code that accepts one checks that its execution is still running,
see `aura_engine.agent_tools.api`. The format is ``aura1.SCOPE.MAC``: both ids, then HMAC-SHA256 over them (RFC 2104),
each in URL-safe base64 without padding (RFC 4648, section 5).
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from uuid import UUID

import attrs

from aura_contracts.errors import AuraError
from aura_contracts.ids import ExecutionId, TaskId

SECRET_LENGTH = 32
"""Bytes of an installation's secret."""

_VERSION = "aura1"
_PURPOSE = b"aura task token 1\0"
"""Covered by the MAC, so that nothing else signed with the secret passes as a token."""


class TokenRefused(AuraError):
    """A token that this installation does not accept."""

    code = "token_refused"
    reason: str
    remedy: str = "start it with AURA_TASK_TOKEN, AURA_STORE and AURA_HOME as AURA sets them for an agent"

    def message(self) -> str:
        return f"the token is not accepted: {self.reason}"


class ScopeEnded(AuraError):
    """The run of an agent has ended, and its rights with it."""

    code = "scope_ended"
    execution_id: str
    status: str
    remedy: str = "stop: reports from this run are no longer accepted"

    def message(self) -> str:
        return f"the run {self.execution_id} has ended ({self.status})"


@attrs.frozen(kw_only=True)
class TaskScope:
    """A task, and the execution in which an agent works on it."""

    task_id: TaskId
    execution_id: ExecutionId


def token_for(secret: bytes, scope: TaskScope) -> str:
    """Return the token of `scope`; equal scopes give equal tokens."""
    if len(secret) != SECRET_LENGTH:
        raise ValueError(f"a secret has {SECRET_LENGTH} bytes, not {len(secret)}")
    payload = UUID(scope.task_id).bytes + UUID(scope.execution_id).bytes
    mac = hmac.digest(secret, _PURPOSE + payload, sha256)
    return f"{_VERSION}.{_text(payload)}.{_text(mac)}"


def scope_of(secret: bytes, token: str) -> TaskScope:
    """Return the scope of `token`. Raises `TokenRefused` unless `token_for` made it with this secret."""
    version, _, rest = token.partition(".")
    if version != _VERSION:
        raise TokenRefused(reason=f"it does not begin with {_VERSION}")
    try:
        payload = urlsafe_b64decode(f"{rest.partition('.')[0]}=")
    except ValueError:
        payload = b""
    if len(payload) != 32:
        raise TokenRefused(reason="it is cut, or was changed")
    scope = TaskScope(
        task_id=TaskId(str(UUID(bytes=payload[:16]))), execution_id=ExecutionId(str(UUID(bytes=payload[16:])))
    )
    if not hmac.compare_digest(token_for(secret, scope).encode(), token.encode("utf-8", "surrogatepass")):
        raise TokenRefused(reason="it was made with another secret, is cut, or was changed")
    return scope


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
