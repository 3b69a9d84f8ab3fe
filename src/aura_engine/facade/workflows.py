"""Workflows: definitions, stored by name in revisions, and what was started from them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Unpack

import anyio
import attrs
import msgspec

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.aggregate import Command
from aura_contracts.errors import Fault, InvalidId, InvalidInput
from aura_contracts.events import EventRecord
from aura_contracts.ids import DefinitionId, WorkflowId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import DefinitionQuery, WorkflowQuery
from aura_contracts.ports.rows import Page
from aura_contracts.workflow import (
    WORKFLOW,
    AdvanceWorkflow,
    CancelStep,
    CancelWorkflow,
    PauseWorkflow,
    ResumeWorkflow,
    RetryStep,
    SendSignal,
    SkipStep,
    UpdateWorkflowContext,
    Workflow,
    WorkflowDefinition,
)
from aura_contracts.workflow_definition import (
    WORKFLOW_DEFINITION,
    DefinitionCreated,
    DefinitionRevised,
    DefinitionStatus,
    RestoreDefinition,
    RetireDefinition,
    SaveDefinition,
    StoredDefinition,
    definition_id,
)
from aura_engine import facade
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import DefinitionFilters, WorkflowFilters
from aura_engine.facade.workflow_commands import steer
from aura_engine.facade.workflow_run import WorkflowRun
from aura_engine.facade.workflow_waits import waits_of
from aura_engine.facade.written_files import content_of
from aura_engine.orchestration.critical_path import CriticalPath, critical_path
from aura_engine.orchestration.graph.nodes import WorkflowGraph
from aura_engine.orchestration.wait_chains import WaitChain
from aura_engine.unit_of_work import UnitOfWork, not_found


class DefinitionRevision(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A revision of a stored definition; workflows start from the newest one unless they name another."""

    id: DefinitionId
    revision: int
    """Counts from 1."""
    definition: WorkflowDefinition
    revised_by: Actor
    revised_at: datetime


@gated
@attrs.frozen
class Workflows:
    """Workflows, by id; their stored definitions, by name or by id. Who may do what: `aura_engine.decisions.workflow`.

    A step is named by its address: its id after the items and rounds around it, ``deploy`` or ``each[2]/check``.
    """

    _core: Core

    # --- Files --------------------------------------------------------------------------------------------------------

    async def validate(self, file: Path | str) -> Sequence[Fault]:
        """Return all faults of a workflow file, warnings included. Raises `InvalidInput` if it cannot be read."""
        content = await content_of(file, facade.SIZE_LIMIT + 1, "workflow")
        return await anyio.to_thread.run_sync(lambda: facade.read_definition(content, str(file)).faults)

    async def read(self, file: Path | str) -> WorkflowDefinition:
        """Return the definition in a workflow file.

        Raises `InvalidFile` with all of its faults, and `InvalidInput` if it cannot be read.
        """
        content = await content_of(file, facade.SIZE_LIMIT + 1, "workflow")
        return await anyio.to_thread.run_sync(lambda: facade.read_definition(content, str(file)).require(str(file)))

    # --- Definitions --------------------------------------------------------------------------------------------------

    async def create(
        self, definition: WorkflowDefinition, *, based_on: int | None = None, by: str | None = None
    ) -> StoredDefinition:
        """Store a definition under its name: as revision 1, or as the next one of the definition that has the name.

        One that equals the newest revision changes nothing; a retired one applies again. With `based_on` only if that
        is still the newest revision; 0 means that the name is new. Workflows that run keep the revision that they were
        started from.

        Raises `InvalidDefinition` with every fault, and `RuleViolated` for another newest revision.
        """
        ident = definition_id(definition.name)
        actor = await self._core.require_member("workflow_definition", ident, "create", by)
        facade.require_sound_definition(definition)
        command = SaveDefinition(workflow_definition_id=ident, definition=definition, based_on=based_on)

        async def decide(unit: UnitOfWork) -> StoredDefinition:
            before = await unit.get(WORKFLOW_DEFINITION, ident)
            if before is not None and before.status is DefinitionStatus.RETIRED:
                await unit.handle(ident, RestoreDefinition())
            return await unit.handle(ident, command)

        return await self._core.bus.transact(actor, decide)

    async def definitions(self, **filters: Unpack[DefinitionFilters]) -> Page[StoredDefinition]:
        """Return a page of stored definitions, newest first, each with its newest revision."""
        return await self._core.reads.list(DefinitionQuery(**filters))

    async def definition(self, name: str) -> StoredDefinition:
        """Return a stored definition with its newest revision, also a retired one.

        `name` is its name or its id. Raises `AggregateNotFound`, `AmbiguousId`.
        """
        found = await self._core.bus.fetch(WORKFLOW_DEFINITION, definition_id(name))
        if found is not None:
            return found
        try:
            return await self._core.load(WORKFLOW_DEFINITION, name)
        except InvalidId:
            raise not_found("workflow_definition", name) from None

    async def revisions(self, name: str) -> Sequence[DefinitionRevision]:
        """Return every revision of a stored definition, oldest first. Raises the errors of `definition`."""
        found = await self.definition(name)
        revisions: list[DefinitionRevision] = []
        for fact in await self._core.log.facts(found.id):
            if isinstance(event := fact.event, DefinitionCreated | DefinitionRevised):
                made: dict[str, Any] = {"revision": len(revisions) + 1, "definition": event.definition}
                revisions.append(DefinitionRevision(id=found.id, revised_by=fact.actor, revised_at=fact.time, **made))
        return revisions

    async def retire(self, name: str, reason: Kept[str] = "", *, by: str | None = None) -> StoredDefinition:
        """Retire a stored definition: nothing starts from it any more; what was started continues.

        Raises the errors of `definition`.
        """
        return await self._of_definition(name, RetireDefinition(reason=reason), by)

    async def restore(self, name: str, *, by: str | None = None) -> StoredDefinition:
        """Have a retired definition apply again, unchanged. Raises the errors of `definition`."""
        return await self._of_definition(name, RestoreDefinition(), by)

    async def _of_definition(self, name: str, command: Command[StoredDefinition], by: str | None) -> StoredDefinition:
        return await self._core.bus.handle(self._core.actor(by), (await self.definition(name)).id, command)

    # --- Start --------------------------------------------------------------------------------------------------------

    async def start(
        self,
        workflow: WorkflowDefinition | str,
        inputs: Kept[Mapping[str, Any] | None] = None,
        *,
        context: Kept[Mapping[str, Any] | None] = None,
        key: Kept[str | None] = None,
        by: str | None = None,
    ) -> WorkflowRun:
        """Start a workflow and return its handle.

        `workflow` is a definition, or the name of a stored one: ``build`` or a revision of it, ``build@3``. What it
        refers to is pinned to the newest revisions. `inputs` are checked against the schemas of the definition;
        `context` adds to its own. All of it is recorded in one append, then driven in the background.

        `key` (up to 200 characters) makes the call idempotent: the same key returns the same workflow, even after a
        crash, and continues it. Raises `KeyReused` if the key belongs to a workflow of another definition, or with
        other inputs or context.

        Raises `InvalidDefinition` with every fault, `UnknownDefinition`, `CyclicDefinitions`, and `InvalidInput` for
        inputs that do not fit.
        """
        self._core.require_open()
        return await facade.WorkflowStart(self._core).start(workflow, inputs or {}, context or {}, key=key, by=by)

    async def fork(
        self,
        workflow: str,
        step: str | None = None,
        *,
        version: int | None = None,
        by: str | None = None,
    ) -> WorkflowRun:
        """Start a new workflow that continues another one from an earlier point, and return its handle.

        It has the definition, inputs and pins of the other one. From `step` on, that step and all that depends on it
        run again; what was over otherwise stays as it was. With `version` the other workflow is taken as it was after
        that many of its events, and everything that was not over then runs.

        Raises `AggregateNotFound` for a step that there is not, and `InvalidInput` without a step or a version.
        """
        self._core.require_open()
        found = await self.get(workflow)
        if step is None and version is None:
            raise InvalidInput(
                field="step", reason="there is no point to continue from", remedy="name a step or a version"
            )
        return await facade.WorkflowStart(self._core).fork(found.id, step, version, by)

    async def attach(self, workflow: str) -> WorkflowRun:
        """Return a handle of an existing workflow. Starts nothing; its `events` yields what happens from now on.

        To wait for the workflow needs an engine that drives it, or the wait raises `WorkflowNotDriven`; see `advance`.

        Raises `AggregateNotFound`, `AmbiguousId`.
        """
        found = await self.get(workflow)
        follower = self._core.follower
        driven = follower.drivers.drives(follower.workflow(found.id))
        return WorkflowRun(found.id, self._core, since=await self._core.log.head(), driven=driven)

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def get(self, workflow: str) -> Workflow:
        """Return a workflow. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.load(WORKFLOW, workflow)

    async def list(self, **filters: Unpack[WorkflowFilters]) -> Page[Workflow]:
        """Return a page of workflows, newest first unless `sort` and `descending` say otherwise."""
        return await self._core.reads.list(WorkflowQuery(**filters))

    async def graph(self, workflow: str, *, expand: bool = False) -> WorkflowGraph:
        """Return the graph of a workflow with the states of its steps, or of the stored definition of this name.

        With `expand`, the items and rounds of its containers are nodes of their own. Raises the errors of `get`.
        """
        stored = await self._core.bus.fetch(WORKFLOW_DEFINITION, definition_id(workflow))
        if stored is not None:
            return facade.graph_of(stored.definition)
        try:
            found = await self.get(workflow)
        except InvalidId:
            raise not_found("workflow", workflow) from None
        return facade.graph_of(found.definition, found.steps.values(), status=found.status, expand=expand)

    async def why(self, workflow: str, step: str | None = None) -> Sequence[WaitChain]:
        """Return why a workflow, or a step of it, waits: a chain for each thing that has to happen; none if it is over.

        Raises `InvalidInput` for a step that the definition does not have, and the errors of `get`.
        """
        return await waits_of(self._core, await self.get(workflow), step)

    async def critical_path(self, workflow: str) -> CriticalPath:
        """Return the chain of steps whose durations make up the length of a workflow. Raises the errors of `get`."""
        return critical_path(await self.get(workflow), self._core.bus.clock())

    async def history(self, workflow: str) -> Sequence[EventRecord]:
        """Return everything that has happened to a workflow itself, oldest first; `Engine.events` has the rest.

        Raises the errors of `get`.
        """
        return await self._core.log.stream(await self._core.find(WORKFLOW.name, workflow))

    # --- Steering -----------------------------------------------------------------------------------------------------

    async def advance(self, workflow: str, *, by: str | None = None) -> Workflow:
        """Record what is due, and drive the workflow: each step whose dependencies are met is started.

        An engine does this by itself for the workflows that it has started; this takes on one that another engine has
        left. Returns the workflow as it is then; its handle tells what follows. Raises the errors of `get`.
        """
        workflow_id = WorkflowId(await self._core.find(WORKFLOW.name, workflow))
        await self._core.require_member(WORKFLOW.name, workflow_id, "advance", by)
        if not (await self._core.stored(WORKFLOW, workflow_id)).ended:
            await self._core.bus.handle(ENGINE, workflow_id, AdvanceWorkflow())
            await self._core.take_on_workflow(workflow_id)
        return await self._core.stored(WORKFLOW, workflow_id)

    async def pause(self, workflow: str, reason: Kept[str] = "", *, by: str | None = None) -> Workflow:
        """Start no more steps; those that run finish, and so do questions to humans. Timeouts stand still.

        Returns the workflow, whose steps tell what still runs. Raises `TransitionRefused` unless it is active.
        """
        return await steer(self._core, workflow, PauseWorkflow(reason=reason), by)

    async def resume(self, workflow: str, *, by: str | None = None) -> WorkflowRun:
        """Resume a paused workflow, and return its handle. Raises `TransitionRefused` unless it is paused."""
        since = await self._core.log.head()
        resumed = await steer(self._core, workflow, ResumeWorkflow(), by)
        follower = self._core.follower
        driven = not self._core.record_only and follower.drivers.drives(follower.workflow(resumed.id))
        return WorkflowRun(resumed.id, self._core, since=since, driven=driven)

    async def cancel(
        self, workflow: str, reason: Kept[str] = "", *, step: str | None = None, by: str | None = None
    ) -> Workflow:
        """Cancel a workflow with all that it runs, or with `step`, only that step and what is in it.

        It is `cancelling` until nothing runs any more; then completed steps are compensated as its definition says,
        and it is cancelled. One that has failed is compensated. Raises `TransitionRefused` for one that has ended.
        """
        command = CancelWorkflow(reason=reason) if step is None else CancelStep(step_id=step, reason=reason)
        return await steer(self._core, workflow, command, by)

    async def retry(self, workflow: str, step: str, *, by: str | None = None) -> Workflow:
        """Run a failed, skipped or cancelled step again, with all that was skipped because of it.

        A failed workflow is active again. Raises `TransitionRefused`, and `AggregateNotFound` for a step that there is
        not, or whose turn has not come.
        """
        return await steer(self._core, workflow, RetryStep(step_id=step), by)

    async def skip(self, workflow: str, step: str, reason: Kept[str], *, by: str | None = None) -> Workflow:
        """Continue without a step that has not completed; what it runs is cancelled first.

        A question to humans cannot be skipped by one. Raises the errors of `retry`, and `RuleViolated`.
        """
        return await steer(self._core, workflow, SkipStep(step_id=step, reason=reason), by)

    async def signal(
        self,
        workflow: str,
        name: Kept[str],
        data: Kept[Any] = None,
        *,
        key: Kept[str | None] = None,
        by: str | None = None,
    ) -> Workflow:
        """Send a signal, for a step that waits for one of this name, now or later; each signal ends one wait.

        The same `key` again changes nothing. Raises `TransitionRefused` for a workflow that has ended.
        """
        return await steer(self._core, workflow, SendSignal(name=name, data=data, key=key), by)

    async def update_context(
        self,
        workflow: str,
        values: Kept[Mapping[str, Any] | None] = None,
        *,
        remove: Kept[Sequence[str]] = (),
        by: str | None = None,
    ) -> Workflow:
        """Set and remove values that templates of steps read as ``context``. Raises the errors of `get`."""
        command = UpdateWorkflowContext(values=dict(values or {}), remove=tuple(remove))
        return await steer(self._core, workflow, command, by)
