"""Acts: what a workflow needs from the world now. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from aura_contracts.workflow import Workflow


class ActKind(StrEnum):
    """What is to be done, and the command that reports it."""

    EVALUATE = "evaluate"
    """An expression: `Act.what` says which."""
    START = "start"
    """The step: make what runs for it, then `StartStep`."""
    FOLLOW = "follow"
    """Look at what runs for the step, and report how that ended or that it asks."""
    CANCEL_BELOW = "cancel_below"
    """Cancel what runs for the step; once it has ended, `ReportStepCancelled`."""
    ADVANCE = "advance"
    """Something is due: `AdvanceWorkflow`."""


class Question(StrEnum):
    """Which expression is to be evaluated."""

    WHEN = "when"
    """`DecideStep`."""
    CASE = "case"
    """`ChooseCase`."""
    ITEMS = "items"
    """`ExpandStep`."""
    UNTIL = "until"
    """`EndRound`."""
    OUTPUTS = "outputs"
    """Of the whole: `CompleteWorkflow`, or `FailWorkflow`. In other cases `FailStep`."""


class Act(NamedTuple):
    """Something to do for a step."""

    kind: ActKind
    step_id: str
    """Its address; empty for the whole."""
    what: Question | None = None
    """For `ActKind.EVALUATE`."""


def acts(workflow: Workflow, now: datetime) -> tuple[Act, ...]:
    """Return what is to be done now, in the order of the definition."""
    raise NotImplementedError
