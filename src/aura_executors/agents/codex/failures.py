"""Failures of codex, and signs of missing permission. Pure."""

import re

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
"""Unambiguous values of `codexErrorInfo` (``codex app-server generate-ts``, v2/CodexErrorInfo)."""

_NO_SUCH_SESSION = re.compile(
    r"no rollout found|thread not found|session not found|conversation not found|invalid thread id|invalid session id"
    r"|no (?:saved )?session|failed to (?:load|read|parse) (?:rollout|thread|session)|rollout .* is empty"
    r"|thread/(?:resume|fork) failed",
    re.IGNORECASE,
)

_FORBIDDEN = re.compile(r"read-only file system|operation not permitted", re.IGNORECASE)
"""Matches errors of commands that the sandbox did not allow to write (bubblewrap on Linux, Seatbelt on macOS)."""

_END = 4_000
"""Characters at the end of a command's output to search."""


def failure_of_turn(message: str, details: str | None, info: object) -> Failure:
    """Return the failure of a turn. `info` is its `codexErrorInfo`: a word, or a word with a status."""
    words = f"{message}: {details}" if details else message
    if isinstance(info, str) and (reason := _KINDS.get(info)):
        return Failure(reason, clipped(words or info, MESSAGE_LIMIT))
    return failure_from(words or "codex does not say why", _status(info))


def no_such_session(message: str) -> bool:
    """Return whether an error of resuming or forking means that the session does not exist."""
    return bool(_NO_SUCH_SESSION.search(message))


def forbidden(output: str) -> bool:
    """Return whether a command seems to have failed because of its sandbox."""
    return bool(_FORBIDDEN.search(output[-_END:]))


def _status(info: object) -> int | None:
    if not isinstance(info, dict):
        return None
    for inner in info.values():
        status = inner.get("httpStatusCode") if isinstance(inner, dict) else None
        if isinstance(status, int) and not isinstance(status, bool):
            return status
    return None
