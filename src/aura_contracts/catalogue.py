"""The event catalogue: every event type by topic, and how old versions are upgraded; and all of AURA's aggregates.

A stored event is labelled ``topic@version``. An event type at version n has an upcaster for each earlier version, a
function from the fields of one version to those of the next; they are applied in turn. Once written, bytes stay
readable forever; `tests/golden` holds a sample of every released version.

To read a log with aggregates of your own, extend the catalogue: ``CATALOGUE.extended(MINE.events)``.

`aura_contracts` and `aura_engine` export `Event` and `EventRecord` from here, so that all event types are known where
programs read them from dictionaries.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import attrs

from aura_contracts.agent import AGENT
from aura_contracts.aggregate import Aggregate
from aura_contracts.alerts import ALERTS
from aura_contracts.approval import APPROVAL
from aura_contracts.board import BOARD
from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import EXECUTION
from aura_contracts.lease import WORKER_LEASE
from aura_contracts.ledger import LEDGER
from aura_contracts.lock_table import LOCK_TABLE
from aura_contracts.outbox import OUTBOX
from aura_contracts.output import OUTPUT
from aura_contracts.project import PROJECT
from aura_contracts.service import SERVICE
from aura_contracts.task import TASK
from aura_contracts.template import PROMPT_TEMPLATE
from aura_contracts.workflow import WORKFLOW
from aura_contracts.workflow_definition import WORKFLOW_DEFINITION
from aura_contracts.workflow_schedule import WORKFLOW_SCHEDULE
from aura_contracts.workspace import WORKSPACE

__all__ = ["AGGREGATES", "CATALOGUE", "Event", "EventCatalogue", "EventRecord", "Fields", "Upcaster", "Upcasters"]
__all__ += ["label", "split_label"]

Fields = dict[str, Any]
Upcaster = Callable[[Fields], Fields]
"""Turns the JSON fields of one event version into those of the next."""

Upcasters = Mapping[tuple[str, int], Upcaster]
"""``(topic, n)`` -> the upcaster from version n to n + 1."""


def label(event_type: type[Event]) -> str:
    """Return the label of an event type in the log: ``task.created@1``."""
    return f"{event_type.topic}@{event_type.version}"


def split_label(text: str) -> tuple[str, int]:
    """Return the topic and version of a label; version 0, which no event has, if the label lacks one."""
    topic, _, version = text.partition("@")
    return topic, int(version) if version.isdecimal() else 0


@attrs.frozen
class EventCatalogue:
    """Event types by topic, with their upcasters. Immutable; `extended` returns a larger one."""

    types: Mapping[str, type[Event]]
    upcasters: Upcasters = attrs.field(factory=dict)

    @classmethod
    def of(cls, aggregates: Iterable[Aggregate[Any]], upcasters: Upcasters | None = None) -> Self:
        """Return the catalogue of all events of `aggregates`.

        Raises `TypeError` if two event types share a topic or the upcaster for an old version is missing.
        """
        return cls({}).extended((event for a in aggregates for event in a.events), upcasters)

    def extended(self, types: Iterable[type[Event]], upcasters: Upcasters | None = None) -> Self:
        """Return a catalogue with additional event types, for a program's own aggregates."""
        merged = dict(self.types)
        for event_type in types:
            if merged.setdefault(event_type.topic, event_type) is not event_type:
                raise TypeError(f"two event types share the topic {event_type.topic!r}")
        ways = {**self.upcasters, **(upcasters or {})}
        for topic, event_type in merged.items():
            for version in range(1, event_type.version):
                if (topic, version) not in ways:
                    raise TypeError(f"no upcaster for {topic}@{version}")
        return type(self)(merged, ways)


AGGREGATES: tuple[Aggregate[Any], ...] = (
    TASK,
    APPROVAL,
    EXECUTION,
    OUTPUT,
    AGENT,
    WORKER_LEASE,
    WORKSPACE,
    WORKFLOW,
    WORKFLOW_DEFINITION,
    WORKFLOW_SCHEDULE,
    BOARD,
    PROMPT_TEMPLATE,
    PROJECT,
    LOCK_TABLE,
    SERVICE,
    OUTBOX,
    ALERTS,
    LEDGER,
)
"""Every aggregate, in the order of the documentation."""

CATALOGUE = EventCatalogue.of(AGGREGATES)
"""Every event that AURA stores."""
