"""The event catalogue: every event type by its topic, and how old versions become new ones.

A stored event is labelled ``topic@version``. An event type of version n brings the ways up from every version before:
functions from the old fields to the next version's, applied one after the other. Bytes once written stay readable for
ever; `tests/golden` holds a sample of each version that was ever released.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import attrs

from aura_contracts.aggregate import Aggregate
from aura_contracts.events import Event

Fields = dict[str, Any]
Upcaster = Callable[[Fields], Fields]
"""Takes the JSON fields of one version of an event, returns those of the next."""

Upcasters = Mapping[tuple[str, int], Upcaster]
"""``(topic, n)`` -> the way from version n to version n + 1."""


def label(event_type: type[Event]) -> str:
    """Return how the log labels events of this type and version: ``task.created@1``."""
    return f"{event_type.topic}@{event_type.version}"


def split_label(text: str) -> tuple[str, int]:
    """Return topic and version of a label; a label without a version is version 0, which no event has."""
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

        Raises `TypeError` when two event types share a topic, or a way up from an old version is missing.
        """
        return cls({}).extended((event for a in aggregates for event in a.events), upcasters)

    def extended(self, types: Iterable[type[Event]], upcasters: Upcasters | None = None) -> Self:
        """Return a catalogue with more event types, for aggregates that a program adds to AURA's own."""
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
