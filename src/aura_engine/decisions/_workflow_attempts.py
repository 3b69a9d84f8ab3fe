"""Attempts: what follows when one fails. Pure."""

from datetime import datetime, timedelta

from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.workflow import (
    StepDefinition,
    StepFailed,
    StepHandlerBegun,
    StepRetry,
    StepRetryScheduled,
    WorkflowStep,
)


def attempt_failed(step: WorkflowStep, definition: StepDefinition | None, failure: Failure, now: datetime) -> Event:
    """Return what follows: another attempt, the handler, or the failure for good.

    `definition` is None for a step whose handler has failed.
    """
    if definition is None:
        return StepFailed(step_id=step.id, failure=failure)
    retry = definition.retry
    if failure.reason in retry.on and not failure.lasting and step.retries + 1 < retry.attempts:
        return StepRetryScheduled(step_id=step.id, failure=failure, retry_at=_next_attempt(step, retry, now))
    if definition.handler:
        return StepHandlerBegun(step_id=step.id, failure=failure)
    return StepFailed(step_id=step.id, failure=failure)


def _next_attempt(step: WorkflowStep, retry: StepRetry, now: datetime) -> datetime:
    try:
        return now + timedelta(seconds=min(retry.pause * retry.factor**step.retries, retry.longest))
    except (OverflowError, ValueError):
        return now + timedelta(seconds=min(retry.longest, _LONGEST))


_LONGEST = 366 * 24 * 3600.0
"""Seconds; where a policy has a number that no calendar knows."""
