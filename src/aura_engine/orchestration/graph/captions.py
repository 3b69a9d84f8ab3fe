"""Captions: the short texts about a step that graphs show, in whatever form they are drawn."""

from collections import Counter
from collections.abc import Iterator, Sequence

from aura_contracts.plain_data import short
from aura_contracts.quoting import listed
from aura_contracts.workflow.records import WorkflowStep
from aura_contracts.workflow.values import (
    AgentTaskStep,
    ApprovalStep,
    EndStep,
    ForEachStep,
    Join,
    LoopStep,
    OnStepFailure,
    ParallelStep,
    StepDefinition,
    StepStatus,
    SubWorkflowStep,
    WaitStep,
)

_NAMED = 3
"""The most reviewers that a caption names."""


def spaced(word: str) -> str:
    """Return a word of the wire as people read it: ``awaiting_approval`` is "awaiting approval"."""
    return word.replace("_", " ")


def join_text(join: Join, n: int | None, count: int) -> str:
    """Return what a join of `count` waits for, "2 of 3"; empty if all have to succeed, which is the default."""
    if count == 1 and join is not Join.ALL_DONE:
        return ""
    match join:
        case Join.ALL_SUCCEEDED:
            return ""
        case Join.N_OF:
            return f"{n} of {count}"
        case Join.FIRST:
            return f"first {n or 1} of {count}"
        case _:
            return spaced(join)


def facts_of(step: StepDefinition, runs: Sequence[WorkflowStep]) -> tuple[str, ...]:
    """Return what a graph says of a step besides its name, type and status."""
    found = [f"if {short(step.when)}"] if step.when else []
    found += _of_config(step, runs)
    if step.on_failure is OnStepFailure.CONTINUE:
        found.append("may fail")
    if len(runs) > 1:
        counts = Counter(run.status for run in runs)
        found.append(", ".join(f"{counts[status]} {spaced(status)}" for status in StepStatus if status in counts))
    found += _of_run(runs[0]) if len(runs) == 1 else ()
    return tuple(found)


def seconds_text(seconds: float) -> str:
    """Return a duration in at most two units: "45 s", "2 min 5 s", "3 h", "2 d 4 h"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.3g} s" if seconds < 10 else f"{whole} s"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    place = next(place for place, (_, size) in enumerate(units) if whole >= size)
    (name, size), (small_name, small) = units[place : place + 2]
    rest = whole % size // small
    return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")


def _of_config(step: StepDefinition, runs: Sequence[WorkflowStep]) -> Iterator[str]:
    run = runs[0] if len(runs) == 1 else None
    match step.config:
        case AgentTaskStep(agent_type=agent_type) if agent_type is not None:
            yield str(agent_type)
        case ApprovalStep(reviewers=reviewers) if reviewers:
            yield f"asks {short(listed(reviewers, _NAMED))}"
        case ParallelStep(join=join, n=n, steps=steps) if join is not Join.ALL_SUCCEEDED:
            yield join_text(join, n, len(steps))
        case ForEachStep():
            yield from _of_items(step.config, None if run is None else run.items)
        case LoopStep(until=until, limit=limit):
            yield f"until {short(until)}"
            yield (
                f"round {run.round} of at most {limit}" if run is not None and run.round else f"at most {limit} rounds"
            )
        case SubWorkflowStep(workflow=workflow):
            yield short(workflow)
        case WaitStep():
            yield _awaited(step.config)
        case EndStep(status=status):
            yield f"ends it as {status}"


def _of_items(config: ForEachStep, items: Sequence[object] | None) -> Iterator[str]:
    count = "all" if items is None else str(len(items))
    yield f"for each of {short(config.items)}" + ("" if items is None else f", {count} items")
    if config.join is not Join.ALL_SUCCEEDED:
        yield join_text(config.join, config.n, 0).replace("of 0", f"of {count}")


def _awaited(config: WaitStep) -> str:
    if config.seconds is not None:
        return f"for {seconds_text(config.seconds)}"
    return f"for signal {short(config.signal)}" if config.signal else f"until {short(config.until)}"


def _of_run(run: WorkflowStep) -> Iterator[str]:
    if run.attempts > 1:
        yield f"attempt {run.attempts}"
    if run.handled:
        yield "failed, handled"
    if run.failure is not None and run.status in (StepStatus.FAILED, StepStatus.RETRYING):
        yield short(run.failure.message or spaced(run.failure.reason))
    if run.reason and run.status in (StepStatus.SKIPPED, StepStatus.CANCELLED):
        yield short(run.reason)
