"""Data flow: which steps have completed wherever a text of a definition is evaluated. Pure.

A step may read the outputs of those that come before it: of what it depends on, directly or through others, of what the
steps around it depend on, and of what is within those. Of these it surely finds the output of a step only if its joins
hold for nothing else than the completion of that step.
"""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from itertools import chain

from aura_contracts.workflow.values import (
    ForEachStep,
    Join,
    LoopStep,
    OnStepFailure,
    ParallelStep,
    StepDefinition,
    WorkflowDefinition,
)
from aura_engine.decisions.workflow_rules import PlacedStep, placed_steps
from aura_engine.orchestration.template_texts import TemplateText

Ids = frozenset[str]

NONE: Ids = frozenset()


class DataFlow:
    """The steps of a definition without faults, and what comes before each."""

    def __init__(self, definition: WorkflowDefinition) -> None:
        self._definition = definition
        self.placed: Mapping[str, PlacedStep] = {one.step.id: one for one in placed_steps(definition)}
        self._always: dict[str, bool] = {}
        """Whether a step whose block has ended well has neither been skipped nor failed."""
        self._completions: dict[str, Ids] = {}
        """What has completed when a step has."""
        for placed in self._inner_first():  # so that no recursion is as long as a chain of steps
            step = placed.step
            self._always[step.id] = self._always_completes(step)
            self._completions[step.id] = self._completed(step)

    def _inner_first(self) -> Iterator[PlacedStep]:
        """Yield the steps, each after those within it and those it depends on."""
        order: TopologicalSorter[str] = TopologicalSorter()
        for name, placed in self.placed.items():
            order.add(name, *placed.step.dependencies)
            if placed.holder is not None:
                order.add(placed.holder.step.id, name)
        return (self.placed[name] for name in order.static_order())

    # --- What a text can see

    def is_visible(self, name: str, text: TemplateText) -> bool:
        """Whether a step is in the scope of a text: not one of other items and rounds."""
        around = set(self._around(text))
        return all(one in around for one in self._repeated(self.placed[name]))

    def _around(self, text: TemplateText) -> Iterator[str]:
        """Yield the for_each and loop steps whose members the text is one of."""
        if text.step is None:
            return
        yield from self._repeated(text.step)
        if text.within:
            yield text.step.step.id

    def _repeated(self, placed: PlacedStep) -> Iterator[str]:
        for one, holder in _upwards(placed):
            if isinstance(holder.step.config, ForEachStep | LoopStep) and _is_member(one):
                yield holder.step.id

    def repeats_around(self, text: TemplateText) -> set[type]:
        """Return which of `ForEachStep` and `LoopStep` are around a text: whether there are an item and a round."""
        return {type(self.placed[name].step.config) for name in self._around(text)}

    # --- What comes before a text

    def before(self, text: TemplateText) -> Ids:
        """Return the steps that may have completed when a text is evaluated."""
        if text.step is None:
            return frozenset(self.placed)
        found: set[str] = set()
        if text.within:
            found.update(self._inside(text.step.step))
        for one in _chain(text.step):
            found.update(self._earlier(one))
            if one.holder is not None and not _is_member(one):
                found.update(self._inside(one.holder.step))
                found.update((one.holder.step.id,) if one.compensates else ())
        return frozenset(found)

    def certain(self, text: TemplateText) -> Ids:
        """Return the steps that surely have completed when a text is evaluated, unless a human skipped one."""
        if text.step is None:
            return self._completed_members(self._definition.steps)
        found = self._completed_members(_members(text.step.step)) if text.within else NONE
        for one in _chain(text.step):
            found |= self._needed(one.step)
            if one.compensates and one.holder is not None:
                found |= self._completions[one.holder.step.id]
        return found

    def _earlier(self, placed: PlacedStep) -> Iterator[str]:
        """Yield the steps of its block that a step waits for, be it through others, and what is within them."""
        siblings = {step.id: step for step in placed.block.steps}
        waiting, seen = [*placed.step.dependencies], set()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                yield name
                yield from self._inside(siblings[name])
                waiting += siblings[name].dependencies

    @staticmethod
    def _inside(step: StepDefinition) -> Iterator[str]:
        return (one.id for block in step.blocks for inner in block for one in inner.walk())

    # --- What has surely completed

    def _needed(self, step: StepDefinition) -> Ids:
        """Return what has completed when a step starts."""
        before = step.dependencies
        if not before:
            return NONE
        if step.join is Join.ALL_DONE:
            return _all(self._completions[one] for one in before if self._always[one])
        least = (step.n or 1) if step.join in (Join.N_OF, Join.FIRST) else 1
        if step.join is Join.ALL_SUCCEEDED or least >= len(before):
            return _all(self._completions[one] for one in before)
        return frozenset.intersection(*(self._completions[one] for one in before))

    def _completed(self, step: StepDefinition) -> Ids:
        found = {step.id} | self._needed(step)
        if isinstance(step.config, ParallelStep) and step.config.join is Join.ALL_SUCCEEDED and not step.handler:
            found |= self._completed_members(step.config.steps)
        return frozenset(found)

    def _completed_members(self, steps: Iterable[StepDefinition]) -> Ids:
        """Return what has completed when a block has: skipped members do not count."""
        return _all(self._completions[step.id] for step in steps if self._always[step.id])

    def _always_completes(self, step: StepDefinition) -> bool:
        if step.when or step.on_failure is OnStepFailure.CONTINUE:
            return False
        before = [self._always[name] for name in step.dependencies]
        match step.join:
            case Join.ALL_DONE:
                return True
            case Join.ALL_SUCCEEDED:
                return all(before)
            case _:
                return sum(before) >= (step.n or 1)


def _chain(placed: PlacedStep) -> Iterator[PlacedStep]:
    """Yield a step and those around it."""
    yield placed
    for _, holder in _upwards(placed):
        yield holder


def _upwards(placed: PlacedStep) -> Iterator[tuple[PlacedStep, PlacedStep]]:
    """Yield each step around one, with the step directly within it."""
    while placed.holder is not None:
        yield placed, placed.holder
        placed = placed.holder


def _is_member(placed: PlacedStep) -> bool:
    """Whether a step is a member of what contains it, neither its handler nor its compensation."""
    return not placed.compensates and placed.block.path[-1] != "handler"


def _members(step: StepDefinition) -> tuple[StepDefinition, ...]:
    return step.config.steps if isinstance(step.config, ParallelStep | ForEachStep | LoopStep) else ()


def _all(several: Iterable[Ids]) -> Ids:
    return frozenset(chain.from_iterable(several))
