"""Workflow start: how workflows begin: from a definition, by name, or in place of another one; each key once."""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import attrs

from aura_contracts.actors import Actor
from aura_contracts.errors import AggregateExists, InvalidInput, KeyReused
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import (
    WORKFLOW,
    ParentStep,
    StartWorkflow,
    Workflow,
    WorkflowDefinition,
    WorkflowStarted,
)
from aura_contracts.workflow_definition import parse_reference
from aura_engine.facade.core import Core
from aura_engine.facade.workflow_run import WorkflowRun
from aura_engine.inputs import StartOptions
from aura_engine.orchestration.forks import past_of
from aura_engine.orchestration.library import Library
from aura_engine.orchestration.lint import require_sound_definition
from aura_engine.orchestration.schemas import completed_inputs


@attrs.frozen
class WorkflowStart:
    """Starts workflows, and drives them unless the engine only records."""

    _core: Core

    async def start(
        self,
        workflow: WorkflowDefinition | str,
        inputs: Mapping[str, Any],
        context: Mapping[str, Any],
        *,
        key: str | None,
        by: str | None,
    ) -> WorkflowRun:
        """See `Workflows.start`."""
        core = self._core
        StartOptions.model_validate({"key": key, "after": ()})
        workflow_id = WorkflowId(core.bus.new_id()) if key is None else workflow_of_key(key)
        if key is not None and await core.bus.fetch(WORKFLOW, workflow_id) is not None:
            return await self._again(workflow_id, workflow, inputs, context, key)
        actor = await core.require_member(WORKFLOW.name, workflow_id, "start", by)
        library = Library(core.bus)
        if isinstance(workflow, str):
            found = await library.find(workflow)
            definition, number, name = found.definition, found.revision, str(found)
        else:
            definition, number, name = workflow, None, None
        require_sound_definition(definition)
        command = StartWorkflow(
            workflow_id=workflow_id,
            definition=definition,
            inputs=completed_inputs(definition.inputs, inputs),
            context=dict(context),
            pins=await library.pins(definition, number),
            revision=name,
        )
        try:
            return await self._begin(command, actor)
        except AggregateExists:
            if key is None:
                raise
            return await self._again(workflow_id, workflow, inputs, context, key)  # another engine was first

    async def fork(self, workflow_id: WorkflowId, step: str | None, version: int | None, by: str | None) -> WorkflowRun:
        """See `Workflows.fork`."""
        core, new_id = self._core, WorkflowId(self._core.bus.new_id())
        actor = await core.require_member(WORKFLOW.name, new_id, "fork", by)
        state = await self._state_at(workflow_id, version)
        command = StartWorkflow(
            workflow_id=new_id,
            definition=state.definition,
            inputs=state.inputs,
            context=state.context,
            pins=state.pins,
            revision=state.revision,
            forked_from=ParentStep(workflow_id, step or ""),
            past=past_of(state, step),
        )
        return await self._begin(command, actor)

    async def _state_at(self, workflow_id: WorkflowId, version: int | None) -> Workflow:
        """Return a workflow as it was after `version` of its events. Raises `InvalidInput`."""
        if version is None:
            return await self._core.stored(WORKFLOW, workflow_id)
        facts = await self._core.log.facts(workflow_id)
        if not 1 <= version <= len(facts):
            reason, remedy = f"it has had {len(facts)} events", f"give 1 to {len(facts)}; its history counts them"
            raise InvalidInput(field="version", reason=reason, remedy=remedy)
        state = WORKFLOW.fold(facts[:version])
        assert state is not None, "the first event creates it"
        return state

    async def _begin(self, command: StartWorkflow, actor: Actor) -> WorkflowRun:
        core = self._core
        since = await core.log.head()

        async def create() -> Workflow:
            return await core.bus.handle(actor, command.workflow_id, command)

        driven = await core.begin_workflow(command.workflow_id, create, since)
        return WorkflowRun(command.workflow_id, core, since=since, driven=driven)

    async def _again(
        self,
        workflow_id: WorkflowId,
        workflow: WorkflowDefinition | str,
        inputs: Mapping[str, Any],
        context: Mapping[str, Any],
        key: str,
    ) -> WorkflowRun:
        """Return the handle of the workflow that belongs to a key, and continue it. Raises `KeyReused`."""
        core = self._core
        first = (await core.log.facts(workflow_id))[0].event
        assert isinstance(first, WorkflowStarted), "nothing happens to a workflow before"
        if not (_is_started_from(first, workflow) and _has_inputs(first, inputs) and first.context == dict(context)):
            raise KeyReused(key=key, aggregate=WORKFLOW.name, aggregate_id=workflow_id)
        driven = False
        if not (await core.stored(WORKFLOW, workflow_id)).ended:
            await core.require_member(WORKFLOW.name, workflow_id, "resume")
            driven = await core.take_on_workflow(workflow_id)
        return WorkflowRun(workflow_id, core, since=await core.log.head(), driven=driven)


def _is_started_from(first: WorkflowStarted, workflow: WorkflowDefinition | str) -> bool:
    """Whether a workflow was started from this definition, or by this name, which may mean a newer one by now."""
    if not isinstance(workflow, str):
        return first.definition == workflow
    if first.revision is None:
        return False
    wanted, started = parse_reference(workflow), parse_reference(first.revision)
    return wanted.name == started.name and wanted.revision in {None, started.revision}


def _has_inputs(first: WorkflowStarted, inputs: Mapping[str, Any]) -> bool:
    try:
        return completed_inputs(first.definition.inputs, inputs) == first.inputs
    except InvalidInput:
        return False


def workflow_of_key(key: str) -> WorkflowId:
    """Return the id of the workflow that belongs to a key (UUIDv5)."""
    return WorkflowId(str(uuid5(NAMESPACE_URL, f"urn:aura:workflow-key:{key}")))
