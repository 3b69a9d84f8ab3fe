"""Kinds: what notifies whom, as a table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import attrs

from aura_contracts.alerts import AlertRaised
from aura_contracts.approval.event_types import ApprovalEscalated, ApprovalExpired, ApprovalRequested, ReminderSent
from aura_contracts.events import Event
from aura_contracts.lease import LeaseLost
from aura_contracts.ledger import OutageEnded
from aura_contracts.task import TaskBlocked, TaskFailed
from aura_contracts.workflow import WorkflowFailed, WorkflowPaused
from aura_contracts.workflow_schedule import ScheduleFailed


class NoticeKind(StrEnum):
    """The kind of a notification."""

    ASKED = "asked"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    EXPIRED = "expired"
    FAILED = "failed"
    BLOCKED = "blocked"
    WORKFLOW_FAILED = "workflow_failed"
    WORKFLOW_PAUSED = "workflow_paused"
    SCHEDULE_FAILED = "schedule_failed"
    WORKER_LOST = "worker_lost"
    STUCK = "stuck"
    WAITING = "waiting"
    ERROR_RATE = "error_rate"
    OUTAGE = "outage"
    OUTAGE_ENDED = "outage_ended"


class Pace(StrEnum):
    """When a person is notified."""

    NOW = "now"
    """At once, but not in quiet hours."""
    ALWAYS = "always"
    """At once, in quiet hours, too."""
    DIGEST = "digest"
    """Once a day, with all else of that day."""
    OFF = "off"


@attrs.frozen
class KindRow:
    """What notifies, and whom. Without an event, the notifier finds it out itself."""

    means: str
    to: str
    event: type[Event] | None = None
    pace: Pace = Pace.NOW


KINDS: Mapping[NoticeKind, KindRow] = MappingProxyType(
    {
        NoticeKind.ASKED: KindRow("a question waits for an answer", "the reviewers who are asked", ApprovalRequested),
        NoticeKind.REMINDER: KindRow("a question still waits", "the reviewers who are reminded", ReminderSent),
        NoticeKind.ESCALATED: KindRow("a question is put to more people", "those people", ApprovalEscalated),
        NoticeKind.EXPIRED: KindRow("a question ended without an answer", "its reviewers", ApprovalExpired),
        NoticeKind.FAILED: KindRow("a task failed for good", "who created it", TaskFailed),
        NoticeKind.BLOCKED: KindRow("a conflict holds up a task", "who created it", TaskBlocked),
        NoticeKind.WORKFLOW_FAILED: KindRow("a workflow failed", "who started it", WorkflowFailed),
        NoticeKind.WORKFLOW_PAUSED: KindRow("a workflow was paused", "who started it", WorkflowPaused),
        NoticeKind.SCHEDULE_FAILED: KindRow(
            "a schedule can no longer start its workflow", "who saved it, and operators", ScheduleFailed
        ),
        NoticeKind.WORKER_LOST: KindRow("a worker did not return", "who created the task it worked on", LeaseLost),
        NoticeKind.STUCK: KindRow("an agent has said nothing for 30 minutes", "who created its task", AlertRaised),
        NoticeKind.WAITING: KindRow(
            "a question has waited for 24 hours",
            "its reviewers and operators, unless they are reminded at once",
            AlertRaised,
        ),
        NoticeKind.ERROR_RATE: KindRow("more than 10 % of the last hour's runs failed", "operators", AlertRaised),
        NoticeKind.OUTAGE: KindRow("the store is away", "operators", pace=Pace.ALWAYS),
        NoticeKind.OUTAGE_ENDED: KindRow("the store is back", "operators", OutageEnded, Pace.ALWAYS),
    }
)
"""Every kind of notification."""

TOPICS = tuple(dict.fromkeys(row.event.topic for row in KINDS.values() if row.event is not None))
"""The topics of events that notify."""
