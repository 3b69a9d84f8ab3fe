"""The transition tables of workflows and of their steps: see `aura_contracts.workflow`."""

from collections.abc import Mapping
from types import MappingProxyType

from aura_contracts.aggregate import NextStatus, Table, in_every_status
from aura_contracts.events import Event
from aura_contracts.workflow import event_types as events
from aura_contracts.workflow.values import StepStatus, WorkflowStatus

_W = WorkflowStatus
_S = StepStatus

_Events = tuple[type[Event], ...]

_STARTS: _Events = (
    events.StepDecided,
    events.StepStarted,
    events.StepChosen,
    events.StepExpanded,
    events.StepItemsBegun,
    events.StepRoundBegun,
    events.StepRoundEnded,
)
"""What begins something."""

_ENDS: _Events = (
    events.StepAwaitingApproval,
    events.StepResumed,
    events.StepCompleted,
    events.StepRetryScheduled,
    events.StepHandlerBegun,
    events.StepFailed,
    events.StepCancelled,
    events.StepSkipped,
)
"""What steps report that run, and what follows from it."""

_COMPENSATED: _Events = tuple(event for event in _ENDS if event is not events.StepHandlerBegun)
"""A compensation has no handler."""

_STEERING: _Events = (events.StepCancelling, events.StepRetried)

_NOTES: _Events = (events.WorkflowContextUpdated, events.WorkflowSignalReceived)

_TABLE: Table = MappingProxyType(
    {
        None: {events.WorkflowStarted: _W.ACTIVE},
        _W.ACTIVE: {
            **dict.fromkeys((*_STARTS, *_ENDS, *_STEERING, *_NOTES), _W.ACTIVE),
            events.WorkflowPaused: _W.PAUSED,
            events.WorkflowCancelling: _W.CANCELLING,
            events.WorkflowCompleted: _W.COMPLETED,
            events.WorkflowFailed: _W.FAILED,
        },
        _W.PAUSED: {
            **dict.fromkeys((*_ENDS, *_STEERING, *_NOTES), _W.PAUSED),
            events.WorkflowResumed: _W.ACTIVE,
            events.WorkflowCancelling: _W.CANCELLING,
            events.WorkflowCompleted: _W.COMPLETED,
            events.WorkflowFailed: _W.FAILED,
        },
        _W.CANCELLING: {
            events.StepCompleted: _W.CANCELLING,
            events.StepCancelled: _W.CANCELLING,
            events.WorkflowCompensating: _W.COMPENSATING,
            events.WorkflowCancelled: _W.CANCELLED,
            events.WorkflowCompleted: _W.COMPLETED,
            events.WorkflowFailed: _W.FAILED,
        },
        _W.COMPENSATING: {
            **dict.fromkeys((events.StepStarted, *_COMPENSATED, *_STEERING), _W.COMPENSATING),
            events.StepCompensationBegun: _W.COMPENSATING,
            events.WorkflowCancelled: _W.CANCELLED,
            events.WorkflowFailed: _W.FAILED,
        },
        _W.FAILED: {  # unless that is lasting, a human reactivates it
            events.StepRetried: _W.ACTIVE,
            events.StepSkipped: _W.ACTIVE,
            events.WorkflowContextUpdated: _W.FAILED,
            events.WorkflowCancelling: _W.CANCELLING,
        },
    }
)

TABLE: Table = in_every_status(_TABLE, events.WorkflowCommandRefused, WorkflowStatus)

_ATTEMPT_FAILED: Mapping[type[Event], StepStatus] = {
    events.StepRetryScheduled: _S.RETRYING,
    events.StepHandlerBegun: _S.HANDLING,
    events.StepFailed: _S.FAILED,
}

_CANCELLING: Mapping[type[Event], StepStatus] = {
    events.StepCancelling: _S.CANCELLING,
    events.WorkflowCancelling: _S.CANCELLING,
}

_CANCELLED: Mapping[type[Event], StepStatus] = {
    events.StepCancelling: _S.CANCELLED,
    events.WorkflowCancelling: _S.CANCELLED,
    events.StepCancelled: _S.CANCELLED,
    events.StepSkipped: _S.SKIPPED,
}
"""Of steps of which nothing runs."""

_OPENED: _Events = (
    events.WorkflowStarted,
    events.StepStarted,
    events.StepChosen,
    events.StepItemsBegun,
    events.StepRoundBegun,
    events.StepHandlerBegun,
    events.StepCompensationBegun,
)

STEP_TABLE: Mapping[StepStatus | None, Mapping[type[Event], NextStatus]] = MappingProxyType(
    {
        None: {
            **dict.fromkeys(_OPENED, _S.PENDING),
            events.WorkflowStarted: (_S.PENDING, _S.COMPLETED, _S.SKIPPED, _S.CANCELLED, _S.FAILED),
        },
        _S.PENDING: {
            events.StepDecided: _S.PENDING,
            events.StepStarted: _S.RUNNING,
            **_ATTEMPT_FAILED,
            **_CANCELLED,
            events.WorkflowCompleted: _S.SKIPPED,
        },
        _S.RUNNING: {
            events.StepChosen: _S.RUNNING,
            events.StepExpanded: _S.RUNNING,
            events.StepItemsBegun: _S.RUNNING,
            events.StepRoundBegun: _S.RUNNING,
            events.StepRoundEnded: _S.RUNNING,
            events.StepAwaitingApproval: _S.AWAITING_APPROVAL,
            events.StepCompleted: _S.COMPLETED,
            **_ATTEMPT_FAILED,
            events.StepCancelled: _S.CANCELLED,
            **_CANCELLING,
        },
        _S.AWAITING_APPROVAL: {
            events.StepAwaitingApproval: _S.AWAITING_APPROVAL,
            events.StepResumed: _S.RUNNING,
            events.StepCompleted: _S.COMPLETED,
            **_ATTEMPT_FAILED,
            events.StepCancelled: _S.CANCELLED,
            **_CANCELLING,
        },
        _S.RETRYING: {events.StepRetried: _S.PENDING, **_CANCELLED},
        _S.HANDLING: {events.StepCompleted: _S.COMPLETED, events.StepFailed: _S.FAILED, **_CANCELLING},
        _S.CANCELLING: {
            events.StepCompleted: _S.COMPLETED,
            **_ATTEMPT_FAILED,
            events.StepCancelled: _S.CANCELLED,
            events.StepSkipped: _S.SKIPPED,
            **_CANCELLING,
        },
        _S.FAILED: {
            events.StepRetried: (_S.PENDING, _S.RUNNING, _S.HANDLING),
            events.StepSkipped: (_S.SKIPPED, _S.RUNNING, _S.HANDLING),
        },
        _S.SKIPPED: {events.StepRetried: _S.PENDING},
        _S.CANCELLED: {events.StepRetried: _S.PENDING},
        _S.COMPLETED: {events.StepCompensationBegun: _S.COMPLETED, events.StepItemsBegun: _S.COMPLETED},
    }
)
"""Step status x event. An event moves the step that it names, and besides it: `StepCancelling` and `WorkflowCancelling`
what is in it, `StepRetried` and `StepSkipped` what had failed of it, `StepRetried` also what it resets, and the ends of
a workflow what is pending."""
