"""Service: which program looks after a store while no one else does. One stream with a fixed id in every log.

    serving  ──stopped──►  stopped  ──started──►  serving

A service drives tasks, fires timers and notifies people. One at a time serves a store. A service that was killed leaves
no event behind: the next one starts in its place, so `started` may follow `started`.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.aggregate import TIME, Aggregate, Command, Evolve, HappenedFact, State, Table, sets
from aura_contracts.events import Event, Instant
from aura_contracts.ids import StreamId

SERVICE_ID: StreamId = "00000000-0000-7000-8000-000000000002"
"""The id of the service's stream, the same in every log."""


class ServiceStatus(StrEnum):
    SERVING = "serving"
    STOPPED = "stopped"


class ServicePlace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The program that serves."""

    engine_id: str
    """Of its engine; another one at each start."""
    host: str = ""
    process_id: int = 0
    version: str = ""
    """Of AURA."""


# --- Events -----------------------------------------------------------------------------------------------------------


class ServiceStarted(Event, frozen=True, kw_only=True):
    """A program began to serve, in place of the one before."""

    topic = "service.started"
    place: ServicePlace


class ServiceStopped(Event, frozen=True, kw_only=True):
    """The program stopped in order. Agents at work live on for a while, so that another one can take them over."""

    topic = "service.stopped"
    engine_id: str


class ClockJumped(Event, frozen=True, kw_only=True):
    """The clock of the machine showed `before`, and then `after`, although `seconds` more or fewer had passed.

    The machine has slept, or its clock was set. What was due in between was done once, after it.
    """

    topic = "service.clock_jumped"
    engine_id: str
    before: Instant
    after: Instant
    seconds: float


# --- State ------------------------------------------------------------------------------------------------------------


class Service(ServicePlace, State, frozen=True, kw_only=True):
    """The state of the service, or of the last one. Times are aware."""

    id: StreamId
    status: ServiceStatus
    started_at: datetime
    stopped_at: datetime | None = None
    clock_jumps: int = 0
    """How often the clock has jumped while one served."""


# --- Commands ---------------------------------------------------------------------------------------------------------


class StartService(Command[Service], frozen=True, kw_only=True):
    """Begin to serve, under the lock of the service."""

    emits = (ServiceStarted,)
    place: ServicePlace


class StopService(Command[Service], frozen=True, kw_only=True):
    """Stop serving; changes nothing if another program serves by now."""

    emits = (ServiceStopped,)
    engine_id: str


class RecordClockJump(Command[Service], frozen=True, kw_only=True):
    """Record that the clock of the machine has jumped; changes nothing if another program serves by now."""

    emits = (ClockJumped,)
    engine_id: str
    before: datetime
    after: datetime
    seconds: float


# --- Table ------------------------------------------------------------------------------------------------------------

_S = ServiceStatus

_TABLE: Table = MappingProxyType(
    {
        None: {ServiceStarted: _S.SERVING},
        _S.SERVING: {ServiceStarted: _S.SERVING, ClockJumped: _S.SERVING, ServiceStopped: _S.STOPPED},
        _S.STOPPED: {ServiceStarted: _S.SERVING},
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _started(state: Service | None, event: ServiceStarted, fact: HappenedFact, status: ServiceStatus) -> Service:
    jumps = 0 if state is None else state.clock_jumps
    place = asdict(event.place)
    return Service(id=SERVICE_ID, status=status, started_at=fact.time, clock_jumps=jumps, **place)


def _jumped(state: Service, event: ClockJumped, fact: HappenedFact, status: ServiceStatus) -> Service:
    return replace(state, status=status, clock_jumps=state.clock_jumps + 1)


_EVOLVERS: Mapping[type[Event], Evolve[Service]] = MappingProxyType(
    {ServiceStarted: _started, ServiceStopped: sets(stopped_at=TIME), ClockJumped: _jumped}
)

SERVICE = Aggregate(name="service", state=Service, statuses=ServiceStatus, table=_TABLE, evolvers=_EVOLVERS)
