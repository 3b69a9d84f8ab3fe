"""Critical path: the chain of steps whose durations make up the length of a workflow. Pure.

It is found backwards. The step that ended last is the end of the chain. Before it comes the step whose end let it
start: the last of its dependencies; in a loop, the last step of the round before; in a for_each with limited
concurrency, the last step that made room; before a handler, what failed; before a compensation, the work that ended
last. A container is replaced by the chain of its members.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from aura_contracts.plain_data import Plain
from aura_contracts.workflow import BlockRole, ForEachStep, StepPlace, StepType, Workflow, WorkflowStep, outline_of
from aura_engine.orchestration.graph.captions import seconds_text


class CriticalStep(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A step of the critical path. `str()` is a line with its durations."""

    step_id: str
    """Its address."""
    title: str
    type: StepType
    waited: float
    """Seconds from the end of the step before it, or the start of the workflow, until its last attempt started."""
    ran: float
    """Seconds from there to its end, or to now."""
    ended_at: datetime | None
    """None if it runs."""

    def __str__(self) -> str:
        waited = f", after {seconds_text(self.waited)} of waiting" if self.waited >= 1 else ""
        return f"{self.step_id}  {seconds_text(self.ran)}{waited}" + ("" if self.ended_at is not None else "; it runs")


class CriticalPath(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The critical path of a workflow. The seconds of its steps and the `rest` add up to its `length`."""

    steps: tuple[CriticalStep, ...]
    length: float
    """Seconds from the start of the workflow to its end, or to now."""
    rest: float
    """Seconds from the end of the last step on."""

    def __str__(self) -> str:
        rest = f", of which {seconds_text(self.rest)} after the last step" if self.rest >= 1 else ""
        return f"{seconds_text(self.length)} in all{rest}"


def critical_path(workflow: Workflow, now: datetime) -> CriticalPath:
    """Return the critical path of a workflow that has ended or still runs."""
    end = max(workflow.ended_at or now, workflow.created_at)
    cursor, found = workflow.created_at, []
    for step, started, ended in _Chains(workflow, end).whole():
        started = min(max(started, cursor), max(ended, cursor))  # noqa: PLW2901 - what of it the path has not seen
        ended = max(ended, started)  # noqa: PLW2901 - clocks may go back
        place = outline_of(workflow.definition)[step.definition_id]
        found.append(
            CriticalStep(
                step_id=step.id,
                title=place.definition.title or place.definition.id,
                type=place.definition.type,
                waited=(started - cursor).total_seconds(),
                ran=(ended - started).total_seconds(),
                ended_at=step.ended_at,
            )
        )
        cursor = ended
    length, rest = (end - workflow.created_at).total_seconds(), (end - cursor).total_seconds()
    return CriticalPath(steps=tuple(found), length=length, rest=rest)


_Stretch = tuple[WorkflowStep, datetime, datetime]
"""A step, and from when to when it counts."""


class _Chains:
    def __init__(self, workflow: Workflow, end: datetime) -> None:
        self._outline = outline_of(workflow.definition)
        self._steps = workflow.steps
        self._end = end
        self._members: dict[str | None, list[WorkflowStep]] = {}
        for step in workflow.steps.values():
            if self._began(step) is None or step.definition_id not in self._outline:
                continue
            undoes = self._place(step).role is BlockRole.COMPENSATION
            self._members.setdefault(None if undoes else step.parent, []).append(step)

    def whole(self) -> Sequence[_Stretch]:
        """Return the chain of the workflow."""
        return self._chain(self._members.get(None, ()))

    def _place(self, step: WorkflowStep) -> StepPlace:
        return self._outline[step.definition_id]

    def _began(self, step: WorkflowStep) -> datetime | None:
        """Return when a step started, or ended without a start; a time after the workflow's end is cut to that."""
        began = step.started_at or step.ended_at
        return None if began is None else min(began, self._end)

    def _over(self, step: WorkflowStep) -> datetime:
        return min(step.ended_at or self._end, self._end)

    def _chain(self, scope: Sequence[WorkflowStep]) -> list[_Stretch]:
        """Return the chain through steps of one container, in the order of time."""
        found: list[list[_Stretch]] = []
        seen: set[str] = set()
        step = self._last(scope)
        while step is not None and step.id not in seen:
            seen.add(step.id)
            found.append(self._inside(step))
            step = self._last(self._before(step, scope))
        return [stretch for part in reversed(found) for stretch in part]

    def _last(self, steps: Sequence[WorkflowStep]) -> WorkflowStep | None:
        """Return the step that ended last; of several, the one that began first, which says most."""
        return max(
            steps, key=lambda step: (self._over(step), -(self._began(step) or self._end).timestamp()), default=None
        )

    def _inside(self, step: WorkflowStep) -> list[_Stretch]:
        began, over = self._began(step) or self._end, self._over(step)
        inner = self._chain([one for one in self._members.get(step.id, ()) if (self._began(one) or over) >= began])
        if not inner:
            return [(step, began, over)]
        first = inner[0][1]
        if self._place(inner[0][0]).role is BlockRole.HANDLER and inner[0][0].parent == step.id:
            return [(step, began, first), *inner]  # its own work failed; the handler followed
        return inner

    def _before(self, step: WorkflowStep, scope: Sequence[WorkflowStep]) -> list[WorkflowStep]:
        """Return the steps whose ends may have let a step start."""
        began, place = self._began(step) or self._end, self._place(step)
        earlier = [one for one in scope if one is not step and one.ended_at is not None and self._over(one) <= began]
        wanted = {step.prefix + name for name in place.definition.dependencies}
        if wanted:
            return [one for one in earlier if one.id in wanted]
        if place.role is BlockRole.COMPENSATION:
            return earlier
        if place.role is BlockRole.HANDLER:
            return [one for one in earlier if self._place(one).role is not BlockRole.HANDLER]
        number = _number(step)
        if number is None or not self._follows(step):
            return []
        return [one for one in earlier if (_number(one) or 0) < number and one.prefix != step.prefix]

    def _follows(self, step: WorkflowStep) -> bool:
        """Whether the item or round of a step may have waited for another one."""
        around = self._place(step).parent
        config = None if around is None else self._outline[around].definition.config
        if not isinstance(config, ForEachStep):
            return True
        return config.concurrency is not None and (_number(step) or 0) >= config.concurrency


def _number(step: WorkflowStep) -> int | None:
    """Return the number of the item or round that a step is in; None outside of any in its own container."""
    around = step.prefix.rstrip("/").rpartition("/")[2]
    digits = around.rpartition("[")[2].rstrip("]")
    return int(digits) if digits.isdigit() else None
