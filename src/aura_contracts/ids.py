"""Ids: UUIDv7 in canonical text form, with a static type for each kind of thing.

At run time an id is a plain ``str`` (``0192f0c1-2d3e-7abc-8def-0123456789ab``). Events carry several ids each, and a
replay decodes all of them: as text they cost nothing, while ``uuid.UUID`` objects would halve the speed of reading the
log. The ``NewType``s let type checkers distinguish the kinds; `parse_id` checks ids from outside.

`WorkerIdentity` and `ProcessIdentity` tell workers and processes apart, also after a restart.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NewType
from uuid import UUID, uuid5

import msgspec

from aura_contracts.errors import InvalidId

StreamId = str
"""The id of any aggregate, which is also the name of its event stream."""

TaskId = NewType("TaskId", str)
ApprovalId = NewType("ApprovalId", str)
ExecutionId = NewType("ExecutionId", str)
WorkspaceId = NewType("WorkspaceId", str)
LeaseId = NewType("LeaseId", str)
WorkerId = NewType("WorkerId", str)
AgentId = NewType("AgentId", str)
WorkflowId = NewType("WorkflowId", str)
DefinitionId = NewType("DefinitionId", str)
ScheduleId = NewType("ScheduleId", str)
BoardId = NewType("BoardId", str)
TemplateId = NewType("TemplateId", str)
ProjectId = NewType("ProjectId", str)

IdFactory = Callable[[], str]
"""Returns a new id at each call. It is injected so that a simulation can repeat a run exactly."""

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_GROUPS = "-?".join(f"([0-9A-Fa-f]{{{digits}}})" for digits in (8, 4, 4, 4, 12))
_SPELLED = re.compile(rf"(?:urn:uuid:)?\{{?{_GROUPS}\}}?")


def parse_id(text: str, field: str = "id") -> str:
    """Return `text` as a canonical id.

    Accepts the usual spellings of a UUID (upper case, no hyphens, braces, ``urn:uuid:``). Raises `InvalidId` naming
    `field` for anything else, even if `uuid.UUID` would accept it: spaces, signs, underscores, ``0x``.
    """
    if _CANONICAL.fullmatch(text):
        return text
    spelled = _SPELLED.fullmatch(text)
    if spelled is None:
        raise InvalidId(field=field, value=text)
    return "-".join(spelled.groups()).lower()


@lru_cache(maxsize=8192)
def is_canonical_id(text: str) -> bool:
    """Whether `text` is an id exactly as AURA stores it. Cached, because the same streams come up again and again."""
    return _CANONICAL.fullmatch(text) is not None


def uuid7_factory(milliseconds: Callable[[], int], random_bits: Callable[[int], int]) -> IdFactory:
    """Return a factory of UUIDv7 ids (RFC 9562, section 5.7) with an injected clock and source of randomness.

    `milliseconds` returns Unix time; `random_bits(n)` returns an integer of `n` random bits. Ids of one factory always
    increase, even within a millisecond and when the clock is set back (RFC 9562, section 6.2, method 2: the 74 random
    bits are a counter that starts at a random value in each new millisecond). Not thread-safe.
    """
    last_ms = -1
    counter = 0

    def next_id() -> str:
        nonlocal last_ms, counter
        now = milliseconds()
        if now > last_ms:
            last_ms, counter = now, random_bits(73)
        else:
            counter += 1 + random_bits(32)
            if counter >> 74:
                last_ms, counter = last_ms + 1, random_bits(73)
        value = (last_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (counter >> 62) << 64 | 0b10 << 62
        value |= counter & 0x3FFF_FFFF_FFFF_FFFF
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    return next_id


@lru_cache(4_096)
def lease_of(execution_id: ExecutionId) -> LeaseId:
    """Return the id of the execution's lease: one for each execution (UUIDv5)."""
    return LeaseId(str(uuid5(UUID(execution_id), "lease")))


def output_stream(execution_id: ExecutionId) -> StreamId:
    """Return the stream for the output of an execution, which is separate from its decisions.

    Replaying an execution never reads its output, and tailing the log shows it live. The id is derived (UUIDv5), so
    neither side has to look it up.
    """
    return str(uuid5(UUID(execution_id), "output"))


class WorkerIdentity(msgspec.Struct, frozen=True, gc=False):
    """The identity of a worker, beyond its id.

    `instance` is a random string that the worker keeps with its agents' spools. A restarted worker that finds the
    spools keeps its instance; a worker that starts from nothing gets a new one. It is not a secret.
    """

    host: str
    instance: str


class ProcessIdentity(msgspec.Struct, frozen=True, gc=False):
    """The identity of an operating system process; a `pid` alone may be reused.

    `started` is the start time as the system reports it (Linux: field 22 of ``/proc/PID/stat``), compared as text.
    `token` is the string in the environment of the process that identifies its descendants. It is not a secret.
    """

    pid: int
    started: str
    token: str
