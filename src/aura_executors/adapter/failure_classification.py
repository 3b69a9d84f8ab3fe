"""Failure classification: recognises rate limits and authentication failures in messages of agents and services."""

import re

from aura_contracts.failures import Failure, FailureReason
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped

_STATUS = re.compile(
    r"(?:\b(?:HTTP|status(?:\s?code)?|api error|error code|code)\b\W{0,4}|unexpected status |\()"
    r"(?P<status>[45][0-9]{2})\b",
    re.IGNORECASE,
)

_DIGITS = re.compile(r"[45][0-9]{2}")
"""A quick check: a text without these contains no status."""

_WORDS = (
    (
        FailureReason.RATE_LIMITED,
        re.compile(
            r"rate.?limit|too many requests|quota|resource.?exhausted|overloaded|throttl|credit balance"
            r"|payment required|(?:usage|hour|daily|weekly|monthly|monthly request) limit|you've hit your .{0,20}limit"
        ),
    ),
    (
        FailureReason.AUTHENTICATION,
        re.compile(
            r"unauthori[sz]ed|authenticat|not logged in|/?login\b|permission_denied|forbidden|credential"
            r"|(?:invalid|incorrect) (?:x-)?api.?key|api.?key (?:is )?(?:not|missing|invalid)"
            r"|(?:token|session) (?:has |is )?expired"
        ),
    ),
)
"""Matched against the lower-case text."""

_LASTING = re.compile(
    r"(?:usage|hour|daily|weekly|monthly|monthly request) limit|you've hit your .{0,20}limit"  # resets after hours
    r"|credit balance|insufficient.?quota|payment required"
    r"|prompt is too long|maximum context length|context.?length.?exceeded"
    r"|model.?not.?found|model.{0,80} (?:does|may) not exist"
)
"""Matches what is the same a minute later: limits of an account, no money, a prompt that is too long, no such model."""


def reason_of_status(status: int) -> FailureReason:
    """Return the failure reason for an HTTP status of a model's service; any other number is an error of the agent.

    >>> reason_of_status(429).value, reason_of_status(401).value, reason_of_status(500).value
    ('RateLimited', 'Authentication', 'AgentError')
    """
    if status in (401, 403):
        return FailureReason.AUTHENTICATION
    if status in (429, 529):
        return FailureReason.RATE_LIMITED
    return FailureReason.AGENT_ERROR


def failure_from(message: str, status: int | None = None) -> Failure:
    """Return the failure that an agent reports, by the status in its message, or else by its wording.

    It is lasting if another attempt would fail in the same way.

    >>> failure_from("unexpected status 401 Unauthorized: scripted failure").reason.value
    'Authentication'
    >>> failure_from("exceeded retry limit, last status: 429 Too Many Requests").reason.value
    'RateLimited'
    """
    if status is None and _DIGITS.search(message) and (found := _STATUS.search(message)):
        status = int(found["status"])
    reason = FailureReason.AGENT_ERROR if status is None else reason_of_status(status)
    small = message.lower()
    if status is None or (status < 500 and reason is FailureReason.AGENT_ERROR):
        reason = next((known for known, words in _WORDS if words.search(small)), reason)
    lasting = (status is None or status < 500) and _LASTING.search(small) is not None
    return Failure(reason, clipped(message, MESSAGE_LIMIT), lasting=lasting)
