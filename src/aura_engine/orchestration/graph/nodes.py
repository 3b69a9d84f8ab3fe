"""Nodes: a workflow as a tree of nodes and, within each block, edges from step to step.

A dependency names a step of the same block, so an edge never leaves its block. What belongs to a step and is not part
of its block, its handler and its compensation, is attached to its node.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from aura_contracts.plain_data import Plain
from aura_contracts.workflow.records import WorkflowStep
from aura_contracts.workflow.values import (
    ConditionalStep,
    ForEachStep,
    Join,
    LoopStep,
    ParallelStep,
    StepDefinition,
    StepStatus,
    StepType,
    WorkflowDefinition,
    WorkflowStatus,
)
from aura_engine.orchestration.graph.captions import facts_of, join_text

ROOM = 500
"""The most steps in a graph for which items and rounds are shown one by one; a definition has no such bound."""

NOTABLE = (
    StepStatus.FAILED,
    StepStatus.AWAITING_APPROVAL,
    StepStatus.HANDLING,
    StepStatus.RUNNING,
    StepStatus.CANCELLING,
    StepStatus.RETRYING,
    StepStatus.PENDING,
    StepStatus.COMPLETED,
    StepStatus.CANCELLED,
    StepStatus.SKIPPED,
)
"""The status of a step that runs several times is the first of these that one of its runs has."""


class NodeRole(StrEnum):
    """What a node stands for."""

    STEP = "step"
    CASE = "case"
    ITEM = "item"
    ROUND = "round"
    HANDLER = "handler"
    COMPENSATION = "compensation"
    """A step that undoes another."""


class GraphEdge(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """A dependency: the target starts after the source."""

    source: str
    target: str
    join: str = ""
    """How the target joins its dependencies, ``any succeeded``; empty for one that waits until all have succeeded."""
    implied: bool = False
    """Whether other edges say the same: drawings leave it out."""


class GraphNode(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A step, or a block of steps within one."""

    id: str
    """The id of the step's definition, or its address if items and rounds are shown; a block's has more behind it."""
    role: NodeRole
    label: str
    type: StepType | None = None
    """Of a step."""
    status: StepStatus | None = None
    """None for a block, and where nothing runs."""
    taken: bool | None = None
    """Of a case: whether it was chosen; None before."""
    facts: tuple[str, ...] = ()
    """What else is known, in short texts."""
    nodes: "tuple[GraphNode, ...]" = ()
    """What it contains."""
    edges: tuple[GraphEdge, ...] = ()
    """Those between these nodes."""
    handler: "GraphNode | None" = None
    compensation: "GraphNode | None" = None

    @property
    def parts(self) -> "tuple[GraphNode, ...]":
        """What it contains, and what is attached to it."""
        return (*self.nodes, *(node for node in (self.handler, self.compensation) if node is not None))

    def walk(self) -> "Iterator[GraphNode]":
        """Yield it and all nodes below it."""
        yield self
        for node in self.parts:
            yield from node.walk()


class WorkflowGraph(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A workflow as a graph."""

    name: str
    description: str = ""
    status: WorkflowStatus | None = None
    """None for a definition."""
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...] = ()

    def walk(self) -> Iterator[GraphNode]:
        """Yield all nodes, in the order of the definition."""
        for node in self.nodes:
            yield from node.walk()


def graph_of(
    definition: WorkflowDefinition,
    steps: Iterable[WorkflowStep] = (),
    *,
    status: WorkflowStatus | None = None,
    expand: bool = False,
) -> WorkflowGraph:
    """Return the graph of a definition, with the states of its steps if it runs.

    A step that runs several times, for items or in rounds, is one node that says how many of them are where. With
    `expand`, each item and round is a node of its own, while no more than `ROOM` steps are shown that way.
    """
    nodes, edges = _GraphBuilder(steps, expand=expand).block(definition.steps, _Scope())
    return WorkflowGraph(
        name=definition.name, description=definition.description, status=status, nodes=nodes, edges=edges
    )


class _Scope(NamedTuple):
    """Where in the addresses of a workflow's steps a block is."""

    prefix: str = ""
    """What the addresses of its steps start with."""
    exact: bool = True
    """Whether the ids of their definitions follow at once; otherwise unknown items and rounds are between."""

    def name(self, step_id: str) -> str:
        """Return the name of a step's node: its address, or the id of its definition if there may be several."""
        return self.prefix + step_id if self.exact else step_id

    def within(self, name: str) -> "_Scope":
        """Return the scope of all items or rounds of the step whose node has this name."""
        return _Scope(f"{name}[", exact=False) if self.exact else self


_Block = tuple[tuple[GraphNode, ...], tuple[GraphEdge, ...]]


class _GraphBuilder:
    def __init__(self, steps: Iterable[WorkflowStep], *, expand: bool) -> None:
        self._by_address: dict[str, WorkflowStep] = {}
        self._by_definition: dict[str, list[WorkflowStep]] = defaultdict(list)
        for step in steps:
            self._by_address[step.id] = step
            self._by_definition[step.definition_id].append(step)
        self._room = ROOM if expand else 0

    def block(self, steps: Sequence[StepDefinition], scope: _Scope) -> _Block:
        """Return the nodes and edges of a block."""
        names = {step.id: scope.name(step.id) for step in steps}
        return tuple(self._step(step, scope) for step in steps), edges_of(steps, names)

    def _step(self, step: StepDefinition, scope: _Scope, role: NodeRole = NodeRole.STEP) -> GraphNode:
        runs, name = self._runs(step.id, scope), scope.name(step.id)
        nodes, edges = self._inside(step, runs, scope)
        handler = compensation = None
        if step.handler:
            handler = self._of_block(f"{name}!", NodeRole.HANDLER, "if it fails", step.handler, scope)
        if step.compensation is not None:
            compensation = self._step(step.compensation, scope, NodeRole.COMPENSATION)
        return GraphNode(
            id=name,
            role=role,
            label=step.title or step.id,
            type=step.type,
            status=min((run.status for run in runs), key=NOTABLE.index, default=None),
            facts=facts_of(step, runs),
            nodes=nodes,
            edges=edges,
            handler=handler,
            compensation=compensation,
        )

    def _runs(self, step_id: str, scope: _Scope) -> Sequence[WorkflowStep]:
        if scope.exact:
            run = self._by_address.get(scope.prefix + step_id)
            return [] if run is None else [run]
        return [run for run in self._by_definition.get(step_id, ()) if run.id.startswith(scope.prefix)]

    def _inside(self, step: StepDefinition, runs: Sequence[WorkflowStep], scope: _Scope) -> _Block:
        match step.config:
            case ConditionalStep(cases=cases, otherwise=otherwise):
                branches = [(f"if {case.when}", case.steps) for case in cases]
                branches += [("otherwise", otherwise)] if otherwise else []
                outcome, name = runs[0].outcome if len(runs) == 1 else None, scope.name(step.id)
                return tuple(
                    self._of_block(
                        f"{name}?{number}",
                        NodeRole.CASE,
                        label,
                        steps,
                        scope,
                        taken=None if outcome is None else outcome == number,
                    )
                    for number, (label, steps) in enumerate(branches)
                ), ()
            case ParallelStep(steps=steps):
                return self.block(steps, scope)
            case ForEachStep(steps=steps) | LoopStep(steps=steps):
                return self._repeated(step, steps, runs, scope)
            case _:
                return (), ()

    def _repeated(
        self, step: StepDefinition, steps: Sequence[StepDefinition], runs: Sequence[WorkflowStep], scope: _Scope
    ) -> _Block:
        run, name = runs[0] if scope.exact and runs else None, scope.name(step.id)
        is_loop = step.type is StepType.LOOP
        numbers = () if run is None else range(1, run.round + 1) if is_loop else range(len(run.items or ()))
        size = len(numbers) * sum(1 for inner in steps for _ in inner.walk())
        if not 0 < size <= self._room:
            return self.block(steps, scope.within(name))
        self._room -= size
        role = NodeRole.ROUND if is_loop else NodeRole.ITEM
        return tuple(
            self._of_block(f"{name}[{number}]", role, f"{role} {number}", steps, _Scope(f"{name}[{number}]/"))
            for number in numbers
        ), ()

    def _of_block(
        self,
        name: str,
        role: NodeRole,
        label: str,
        steps: Sequence[StepDefinition],
        scope: _Scope,
        *,
        taken: bool | None = None,
    ) -> GraphNode:
        nodes, edges = self.block(steps, scope)
        return GraphNode(id=name, role=role, label=label, taken=taken, nodes=nodes, edges=edges)


def edges_of(steps: Sequence[StepDefinition], names: "dict[str, str]") -> tuple[GraphEdge, ...]:
    """Return the edges of a block, by target; names that are not of the block are left out.

    An edge is implied if the source must have completed before another dependency could complete, and the target waits
    for that to complete as well.
    """
    number = {step.id: place for place, step in enumerate(steps)}
    strict = [step.join is Join.ALL_SUCCEEDED for step in steps]
    before = _completed_before(steps, number, strict)
    found = []
    for step in steps:
        sources = [name for name in dict.fromkeys(step.dependencies) if name in number and name != step.id]
        join = join_text(step.join, step.n, len(sources))
        behind = 0
        for name in sources if strict[number[step.id]] else ():
            behind |= before[number[name]]
        found += [
            GraphEdge(source=names[name], target=names[step.id], join=join, implied=bool(behind >> number[name] & 1))
            for name in sources
        ]
    return tuple(found)


def _completed_before(steps: Sequence[StepDefinition], number: "dict[str, int]", strict: Sequence[bool]) -> list[int]:
    """Return for each step the set, as bits, of those that have completed if it has. A circle of steps says nothing."""
    before = [0] * len(steps)
    left = [len({number[name] for name in step.dependencies if name in number}) for step in steps]
    after: dict[int, list[int]] = defaultdict(list)
    for place, step in enumerate(steps):
        for name in {*step.dependencies} & number.keys():
            after[number[name]].append(place)
    ready = [place for place, count in enumerate(left) if not count]
    while ready:
        place = ready.pop()
        for target in after[place]:
            if strict[target]:
                before[target] |= before[place] | 1 << place
            left[target] -= 1
            if not left[target]:
                ready.append(target)
    return before
