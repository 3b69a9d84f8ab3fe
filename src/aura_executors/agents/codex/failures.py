"""What codex says about its failures, and about what it was not permitted to do. Pure."""

import re
from typing import Any

from aura_contracts.failures import Failure, FailureReason
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped
from aura_executors.adapter.failure_classification import failure_from

_KINDS = {
    "usageLimitExceeded": FailureReason.RATE_LIMITED,
    "rateLimitExceeded": FailureReason.RATE_LIMITED,
    "serverOverloaded": FailureReason.RATE_LIMITED,
    "flexUnavailable": FailureReason.RATE_LIMITED,
    "policyCapacityUnavailable": FailureReason.RATE_LIMITED,
    "unauthorized": FailureReason.AUTHENTICATION,
    "cyberPolicy": FailureReason.REFUSED,
    "misalignmentPolicyViolation": FailureReason.REFUSED,
    "tooManyDenials": FailureReason.PERMISSION_DENIED,
}
"""Values of `codexErrorInfo` (``codex app-server generate-ts``, v2/CodexErrorInfo) that leave no doubt."""

_NO_SUCH_SESSION = re.compile(
    r"no rollout found|thread not found|session not found|conversation not found|invalid thread id|invalid session id"
    r"|no (?:saved )?session|failed to (?:load|read|parse) (?:rollout|thread|session)|rollout .* is empty"
    r"|thread/(?:resume|fork) failed",
    re.IGNORECASE,
)

_FORBIDDEN = re.compile(r"read-only file system|operation not permitted", re.IGNORECASE)
"""What commands say that the sandbox did not let write (bubblewrap on Linux, Seatbelt on macOS)."""

_END = 4_000
"""Characters at the end of a command's output that are looked at for it."""


def failure_of_turn(message: str, details: str | None, info: Any) -> Failure:
    """Return what an error of a turn means. `info` is its `codexErrorInfo`: a word, or a word with a status."""
    words = f"{message}: {details}" if details else message
    if isinstance(info, str) and (reason := _KINDS.get(info)):
        return Failure(reason, clipped(words or info, MESSAGE_LIMIT))
    return failure_from(words or "codex does not say why", _status(info))


def no_such_session(message: str) -> bool:
    """Say whether an error of resuming or forking means that there is no such session."""
    return bool(_NO_SUCH_SESSION.search(message))


def forbidden(output: str) -> bool:
    """Say whether a command that failed in a sandbox seems to have failed because of it."""
    return bool(_FORBIDDEN.search(output[-_END:]))


def _status(info: Any) -> int | None:
    if not isinstance(info, dict):
        return None
    for inner in info.values():
        status = inner.get("httpStatusCode") if isinstance(inner, dict) else None
        if isinstance(status, int) and not isinstance(status, bool):
            return status
    return None
