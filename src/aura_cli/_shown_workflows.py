"""Shown workflows: lists workflows and stored definitions, and shows one with its steps or its history."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.rendering.formatting import (
    counted,
    event_data,
    fields_text,
    is_blank,
    minute_text,
    state_heading,
    time_text,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.events import event_fields
from aura_contracts.plain_data import short
from aura_contracts.quoting import one_line
from aura_contracts.workflow import Workflow, WorkflowStep, awaiting_of, progress_of

if TYPE_CHECKING:
    from aura_contracts.workflow_definition import StoredDefinition
    from aura_engine import DefinitionRevision, Engine


def workflow_text(workflow: Workflow) -> str:
    """Return a workflow and its status in a line."""
    return one_line(f"workflow {workflow.id} is {workflow.status}: {workflow.name}")


async def say_who_continues(call: Invocation, engine: "Engine", workflow: Workflow) -> None:
    """Say how a workflow that has not ended is carried out, if no service does."""
    if not workflow.ended and await engine.service() is None:
        remedy = f"`aura serve` carries it out, or `aura workflow advance {workflow.id} --wait{call.hint}`"
        call.terminal.say(f"no service looks after this store: {remedy}")


async def list_workflows(call: Invocation) -> None:
    """Print the workflows that the filters of the arguments select."""
    given = call.arguments
    async with engine_of(call, read_only=True) as engine:
        parent = None if given.parent is None else (await engine.workflows.get(given.parent)).id
        filters = {"status": given.status, "name": given.name, "project": given.project, "parent": parent}
        if given.limit is None:
            workflows = await all_rows(engine.workflows.list, **filters)
        else:
            workflows = list(reversed((await engine.workflows.list(**filters, limit=given.limit)).rows))
    call.terminal.table(
        workflows,
        ("id", "status", "steps", "started (UTC)", "name", "waits for"),
        lambda one: (one.id, one.status, _progress(one), minute_text(one.created_at), one.name, _waits_for(one)),
    )
    call.terminal.say(counted(len(workflows), "workflow"))


def _progress(workflow: Workflow) -> str:
    return str(progress_of(workflow))


def _waits_for(workflow: Workflow) -> str:
    return ", ".join(awaiting_of(workflow))


async def show_workflow(call: Invocation) -> None:
    """Print a workflow with its steps."""
    async with engine_of(call, read_only=True) as engine:
        workflow = await engine.workflows.get(call.arguments.id)
    over, total = progress_of(workflow)
    lines = [f"{state_heading('workflow', workflow, call.terminal)}: {one_line(workflow.name)}"]
    lines += [f"  {line}" for line in map(one_line, _facts(workflow))]
    lines += ["", f"{over} of {total} steps are over"]
    lines += _step_lines(list(workflow.steps.values()), workflow)
    call.terminal.item({**workflow.as_dict(), "steps_over": over, "steps_total": total}, "\n".join(lines))
    call.terminal.say(f"history: aura workflow history {workflow.id}{call.hint}")


def _facts(workflow: Workflow) -> Sequence[str]:
    """Return the facts about a workflow besides its steps, a line each."""
    failure = workflow.failure
    parent = workflow.parent
    named: dict[str, Any] = {
        "definition": workflow.revision,
        "project": workflow.project,
        "started by": f"{workflow.created_by} at {time_text(workflow.created_at)}",
        "step of": None if parent is None else f"workflow {parent.workflow_id}, step {parent.step_id}",
        "inputs": workflow.inputs,
        "context": workflow.context,
        "waits for": ", ".join(awaiting_of(workflow)),
        "paused": workflow.paused_because,
        "failure": None if failure is None else f"{failure.reason}: {failure.message}",
        "outputs": workflow.outputs,
        "ended at": None if workflow.ended_at is None else time_text(workflow.ended_at),
    }
    found = {name: value for name, value in named.items() if not is_blank(value)}
    width = max(map(len, found))
    return [f"{name.ljust(width)}  {short(value, 100)}" for name, value in found.items()]


def _step_lines(steps: Sequence[WorkflowStep], workflow: Workflow) -> Sequence[str]:
    rows = [(step.id, step.status, _detail(step)) for step in steps]
    widths = [max((len(row[place]) for row in rows), default=0) for place in (0, 1)]
    return [one_line(f"  {row[0].ljust(widths[0])}  {row[1].ljust(widths[1])}  {row[2]}".rstrip()) for row in rows]


def _detail(step: WorkflowStep) -> str:
    """Return what a step runs, or why it ended as it did."""
    parts = [f"{counted(step.attempts, 'attempt')}"] if step.attempts > 1 else []
    for name, value in (("task", step.task_id), ("approval", step.approval_id), ("workflow", step.child_id)):
        if value is not None and step.ended_at is None:
            parts.append(f"{name} {value}")
    if step.failure is not None and step.status != "completed":
        parts.append(f"{step.failure.reason}: {step.failure.message}")
    if step.reason:
        parts.append(step.reason)
    if step.due_at is not None and step.ended_at is None:
        parts.append(f"due at {time_text(step.due_at)}")
    return short(", ".join(parts), 100)


async def show_history(call: Invocation) -> None:
    """Print what has happened to a workflow."""
    async with engine_of(call, read_only=True) as engine:
        records = await engine.workflows.history(call.arguments.id)
    for record in records:
        what = record.event.topic.removeprefix("workflow.")
        parts = (
            f"{record.version}",
            time_text(record.time),
            record.actor,
            what,
            fields_text(event_fields(record.event)),
        )
        call.terminal.item(event_data(record), one_line("  ".join(part for part in parts if part)))
    call.terminal.say(counted(len(records), "event"))


async def show_waits(call: Invocation) -> None:
    """Print why a workflow, or a step of it, waits."""
    async with engine_of(call, read_only=True) as engine:
        chains = await engine.workflows.why(call.arguments.id, call.arguments.step)
        for chain in chains:
            call.terminal.item(chain.as_dict(), str(chain))
        if any(chain.links[-1].kind == "engine" for chain in chains):
            await say_who_continues(call, engine, await engine.workflows.get(call.arguments.id))
    if not chains:
        call.terminal.say("It waits for nothing: it is over.")


async def show_critical_path(call: Invocation) -> None:
    """Print the chain of steps that makes a workflow take as long as it does."""
    async with engine_of(call, read_only=True) as engine:
        found = await engine.workflows.critical_path(call.arguments.id)
    for step in found.steps:
        call.terminal.item(step.as_dict(), one_line(str(step)))
    call.terminal.say(str(found))


# --- Definitions ------------------------------------------------------------------------------------------------------


async def list_definitions(call: Invocation) -> None:
    """Print the stored definitions."""
    status = None if call.arguments.all else "active"
    async with engine_of(call, read_only=True) as engine:
        definitions = await all_rows(
            engine.workflows.definitions, status=status, name=call.arguments.name, project=call.arguments.project
        )
    call.terminal.table(
        definitions,
        ("id", "status", "name", "revision", "steps", "revised (UTC)"),
        lambda one: (
            one.id,
            one.status,
            one.name,
            str(one.revision),
            str(sum(1 for _ in one.definition.walk())),
            minute_text(one.revised_at),
        ),
    )
    call.terminal.say(counted(len(definitions), "definition"))


async def show_definition(call: Invocation) -> None:
    """Print a stored definition, as the file that it could be."""
    from aura_engine import definition_text

    given = call.arguments
    async with engine_of(call, read_only=True) as engine:
        stored = await engine.workflows.definition(given.id)
        revisions = await engine.workflows.revisions(given.id)
        wanted = given.revision or stored.revision
        if wanted > len(revisions):
            remedy = f"it has revisions 1 to {len(revisions)}"
            raise InvalidInput(field="--revision", reason=f"there is no revision {wanted}", remedy=remedy)
        revision = revisions[wanted - 1]
    text = definition_text(revision.definition)
    call.terminal.item(_definition_data(stored, revision), text.rstrip("\n"))
    told = f"revision {revision.revision} of {time_text(revision.revised_at)} by {revision.revised_by}"
    call.terminal.say(f"definition {stored.name} is {stored.status}: {told}")


def _definition_data(stored: "StoredDefinition", revision: "DefinitionRevision") -> dict[str, Any]:
    return {**stored.as_dict(), **revision.as_dict()}
