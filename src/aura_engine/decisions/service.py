"""Decisions about the service of a store. AURA alone gives these commands, under the lock of the service."""

from math import isfinite

from aura_contracts.service import (
    SERVICE,
    ClockJumped,
    RecordClockJump,
    Service,
    ServiceStarted,
    ServiceStatus,
    ServiceStopped,
    StartService,
    StopService,
)
from aura_engine.decisions._decider import Context, Decider, Events, RuleBroken, only_system, require_zone

_only_aura = only_system("the program that serves records this itself")


def _start(state: Service | None, command: StartService, context: Context) -> Events:
    if state is not None and state.status is ServiceStatus.SERVING and state.engine_id == command.place.engine_id:
        return []
    return [ServiceStarted(place=command.place)]


def _stop(state: Service, command: StopService, context: Context) -> Events:
    return [ServiceStopped(engine_id=command.engine_id)] if state.engine_id == command.engine_id else []


def _jump(state: Service, command: RecordClockJump, context: Context) -> Events:
    if state.engine_id != command.engine_id:
        return []
    require_zone("before", command.before)
    require_zone("after", command.after)
    if not isfinite(command.seconds):
        raise RuleBroken("seconds", f"{command.seconds} is not an amount of time")
    jump = ClockJumped(engine_id=command.engine_id, before=command.before, after=command.after, seconds=command.seconds)
    return [jump]


SERVICE_DECIDER = Decider(
    SERVICE,
    {
        StartService: (_only_aura, _start),
        StopService: (_only_aura, _stop),
        RecordClockJump: (_only_aura, _jump),
    },
)
