"""Alerts: what is not as it should be although nothing happened, one stream with a fixed id in every log.

    alert   ──raised──► open ──cleared──► gone

An agent that says nothing, a question that waits, too many failures: someone has to look for them, and an alert records
that they were found, once each time. People are notified because of that event, like of any other.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event
from aura_contracts.ids import StreamId
from aura_contracts.plain_data import Plain

ALERTS_ID: StreamId = "00000000-0000-7000-8000-000000000006"
"""The id of the stream of alerts, the same in every log."""


class AlertsStatus(StrEnum):
    OPEN = "open"


class Alert(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """An alert that is open."""

    kind: str
    about: str
    """The id of the execution or approval that it is about; empty for the system as a whole."""
    subject: str
    since: datetime


class AlertRaised(Event, frozen=True, kw_only=True):
    """Something was found that people should know of. `to` names those whom it concerns, besides operators."""

    topic = "alerts.raised"
    kind: str
    about: str
    subject: str
    to: tuple[str, ...] = ()


class AlertCleared(Event, frozen=True, kw_only=True):
    """It is as it should be again."""

    topic = "alerts.cleared"
    kind: str
    about: str


class Alerts(State, frozen=True, kw_only=True):
    """The state of the alerts."""

    id: StreamId
    status: AlertsStatus
    open: tuple[Alert, ...] = ()

    def find(self, kind: str, about: str) -> Alert | None:
        """Return the open alert of a kind about something, or None."""
        return next((one for one in self.open if (one.kind, one.about) == (kind, about)), None)


class RaiseAlert(Command[Alerts], frozen=True, kw_only=True):
    """Raise an alert, unless it is open."""

    emits = (AlertRaised,)
    kind: str
    about: str
    subject: str
    to: tuple[str, ...] = ()


class ClearAlert(Command[Alerts], frozen=True, kw_only=True):
    """Clear an alert, if it is open."""

    emits = (AlertCleared,)
    kind: str
    about: str


_OPEN = AlertsStatus.OPEN

_TABLE: Table = MappingProxyType({None: {AlertRaised: _OPEN}, _OPEN: {AlertRaised: _OPEN, AlertCleared: _OPEN}})


def _raised(state: Alerts | None, event: AlertRaised, fact: HappenedFact, status: AlertsStatus) -> Alerts:
    alerts = state or Alerts(id=ALERTS_ID, status=status)
    alert = Alert(kind=event.kind, about=event.about, subject=event.subject, since=fact.time)
    return replace(alerts, open=(*alerts.open, alert))


def _cleared(state: Alerts, event: AlertCleared, fact: HappenedFact, status: AlertsStatus) -> Alerts:
    return replace(state, open=tuple(one for one in state.open if (one.kind, one.about) != (event.kind, event.about)))


_EVOLVERS: Mapping[type[Event], Evolve[Alerts]] = MappingProxyType({AlertRaised: _raised, AlertCleared: _cleared})

ALERTS = Aggregate(name="alerts", state=Alerts, statuses=AlertsStatus, table=_TABLE, evolvers=_EVOLVERS)
