"""Scope: which task an agent may act on while it works, in a token that only this installation makes. Pure.

    token = token_for(secret, TaskScope(task_id=task.id, execution_id=execution.id))
    scope_of(secret, token).task_id

A token says who is asking, and nothing about when: whoever accepts one looks whether its execution is still going on,
see `aura_engine.agent_tools.api`. It is ``aura1.SCOPE.MAC``: both ids, then HMAC-SHA256 over them (RFC 2104), each in
base64 without padding that is safe in URLs (RFC 4648, section 5).
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
"""Under the MAC, so that nothing else that the secret may ever sign is taken for a token."""


@attrs.define(kw_only=True, eq=False)
class TokenRefused(AuraError):
    """A token that says nothing to this installation."""

    code = "token_refused"
    reason: str
    remedy: str = "start it as AURA does for an agent, with AURA_TASK_TOKEN, AURA_STORE and AURA_HOME as they were set"

    def message(self) -> str:
        return f"the token is not accepted: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class ScopeEnded(AuraError):
    """The run of an agent is over, and with it what the agent may do."""

    code = "scope_ended"
    execution_id: str
    status: str
    remedy: str = "stop: nothing that this run says is taken in any more"

    def message(self) -> str:
        return f"the run {self.execution_id} has ended ({self.status})"


@attrs.frozen(kw_only=True)
class TaskScope:
    """A task, and the execution in which an agent works on it."""

    task_id: TaskId
    execution_id: ExecutionId


def token_for(secret: bytes, scope: TaskScope) -> str:
    """Return the token of `scope`; always the same one."""
    if len(secret) != SECRET_LENGTH:
        raise ValueError(f"a secret has {SECRET_LENGTH} bytes, not {len(secret)}")
    payload = UUID(scope.task_id).bytes + UUID(scope.execution_id).bytes
    mac = hmac.digest(secret, _PURPOSE + payload, sha256)
    return f"{_VERSION}.{_text(payload)}.{_text(mac)}"


def scope_of(secret: bytes, token: str) -> TaskScope:
    """Return what `token` is for. Raises `TokenRefused` for what `token_for` did not make with this secret."""
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
