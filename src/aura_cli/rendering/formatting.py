"""Formatting: events, states and changes as data for programs and as lines for people. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from aura_cli.rendering.terminal import Terminal
from aura_contracts.aggregate import State
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.events import EventRecord, event_fields
from aura_contracts.plain_data import short
from aura_contracts.quoting import listed, one_line
from aura_contracts.task import Task

if TYPE_CHECKING:
    from aura_contracts.ports.archive import Change, HistoryLine
    from aura_engine import ClaimInLine

CLAIMS_NAMED = 5
"""The most tasks that a line names of those that one waits for."""

_AGGREGATE_OF = {event.topic: aggregate.name for aggregate in AGGREGATES for event in aggregate.events}
"""Aggregate names by event topic."""


def event_data(record: EventRecord) -> dict[str, Any]:
    """Return an event of the log as data."""
    return {
        "kind": "event",
        "id": event_id(record.stream_id, record.version),
        "position": record.position,
        "time": record.time,
        "type": record.event.topic,
        "aggregate": _AGGREGATE_OF.get(record.event.topic),
        "stream_id": record.stream_id,
        "version": record.version,
        "actor": record.actor,
        "correlation_id": record.correlation_id,
        "causation_id": record.causation_id,
        "fields": event_fields(record.event),
    }


def event_id(stream_id: str, version: int) -> str:
    """Return the id of an event, the same in every copy of the log."""
    return f"{stream_id}:{version}"


def event_text(record: EventRecord) -> str:
    """Return an event of the log as a line."""
    parts = (
        f"#{record.position}",
        time_text(record.time),
        record.stream_id,
        record.actor,
        record.event.topic,
        fields_text(event_fields(record.event)),
    )
    return one_line("  ".join(part for part in parts if part))


def history_data(line: "HistoryLine", stream_id: str) -> dict[str, Any]:
    """Return a line of a history as data."""
    return {"id": event_id(stream_id, line.version), "type": line.topic, **msgspec.to_builtins(line)}


def time_text(time: datetime) -> str:
    """Return a moment in UTC, to the millisecond."""
    return time.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def minute_text(time: datetime) -> str:
    """Return a moment in UTC, to the minute, for a column whose title names the zone."""
    text: str = msgspec.to_builtins(time)  # RFC 3339; `isoformat` and others take four times as long
    return text[:16].replace("T", " ")


def fields_text(fields: dict[str, Any]) -> str:
    """Return the non-empty values with their names in a line."""
    return ", ".join(f"{name}={short(value)}" for name, value in fields.items() if not is_blank(value))


def change_text(change: "Change") -> str:
    """Return the change of a field as a line."""
    return one_line(f"{change.field}: {short(change.before)} → {short(change.after)}")


def is_blank(value: Any) -> bool:
    """Whether a value is None or empty."""
    return value is None or value in ("", (), [], {})


def title_of(state: State) -> str:
    """Return a title for people: a name or title of the aggregate, or its tool call."""
    for name in ("title", "name", "proposed_solution"):
        value = getattr(state, name, None)
        if isinstance(value, str) and value:
            return short(value)
    call = getattr(state, "tool_call", None)
    return "" if call is None else f"{call.tool} {short(call.arguments)}"


def state_data(aggregate: str, state: State, **more: Any) -> dict[str, Any]:
    """Return an aggregate's state as data."""
    return {"id": state.id, "aggregate": aggregate, "status": state.status, **more, "state": msgspec.to_builtins(state)}


def counted(number: int, thing: str) -> str:
    """Return a number of things: ``1 task``, ``2 tasks``."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def state_heading(aggregate: str, state: State, terminal: Terminal) -> str:
    """Return the kind, id and status of an aggregate."""
    return f"{aggregate} {terminal.style(state.id, 'bold')} {terminal.style(state.status, 'cyan')}"


def claim_text(claim: "ClaimInLine") -> str:
    """Return what a task has for itself alone, or waits for, in a line."""
    if claim.held_since is not None:
        return one_line(f"has {claim.locks} for itself since {time_text(claim.held_since)}")
    others = listed([f"task {task_id}" for task_id in claim.waits_for], CLAIMS_NAMED)
    return one_line(f"waits for {others} since {time_text(claim.requested_at)}, to have {claim.locks} for itself")


def undriven_texts(claims: "Iterable[ClaimInLine]") -> Iterable[str]:
    """Yield a line for each of the first tasks that wait for locks, or have them, and that no engine drives."""
    undriven = [claim for claim in claims if claim.undriven]
    for claim in undriven[:CLAIMS_NAMED]:
        yield one_line(f"task {claim.task_id} {'has' if claim.held else 'waits for'} {claim.locks}; {claim.undriven}")
    if len(undriven) > CLAIMS_NAMED:
        yield f"and {len(undriven) - CLAIMS_NAMED} more that no engine drives"


def task_text(task: Task) -> str:
    """Return a task and its status in a line."""
    return one_line(f"task {task.id} is {task.status}: {task.title}")


def state_lines(state: State) -> Iterable[str]:
    """Yield the fields of a state that are not blank, one per line."""
    fields = {name: value for name, value in msgspec.to_builtins(state).items() if not is_blank(value)}
    width = max(map(len, fields))
    for name, value in fields.items():
        yield one_line(f"  {name.ljust(width)}  {short(value, 100)}")
