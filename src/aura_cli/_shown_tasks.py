"""Shown tasks: lists tasks and their runs, and shows a task with everything that belongs to it."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli._subjects import subjects_of
from aura_cli.rendering.formatting import (
    CLAIMS_NAMED,
    claim_text,
    counted,
    minute_text,
    state_heading,
    state_lines,
    undriven_texts,
)
from aura_contracts.board import canonical_of_task
from aura_contracts.plain_data import short
from aura_contracts.quoting import listed, one_line
from aura_contracts.task import Task, held_up

if TYPE_CHECKING:
    from aura_engine import Engine


async def list_tasks(call: Invocation) -> None:
    """Print the tasks that the filters of the arguments select."""
    async with engine_of(call, read_only=True) as engine:
        limit, filters = call.arguments.limit, await _filters(engine, call.arguments)
        if limit is None:
            tasks = await all_rows(engine.tasks.list, **filters)
        else:
            tasks = list(reversed((await engine.tasks.list(**filters, limit=limit)).rows))
        subjects = await subjects_of(engine, tasks)
        waiting = {task.id for task in tasks if task.pooled}
        places = {place.task_id: place for place in await engine.tasks.queue()} if waiting else {}
    call.terminal.table(
        tasks,
        ("id", "status", "priority", "created (UTC)", "repository", "title"),
        lambda task: (
            task.id,
            task.status,
            task.priority,
            minute_text(task.created_at),
            subjects[task.id].place,
            short(task.title),
        ),
        lambda task: {
            **task.as_dict(),
            "canonical_state": canonical_of_task(task),
            **subjects[task.id].data,
            "queue": places.get(task.id),
        },
    )
    for place in (place for task_id, place in places.items() if task_id in waiting):
        where = "queued" if place.place is None else f"number {place.place} in the queue"
        call.terminal.say(one_line(f"{place.task_id} is {where}: {place.reason}"))
    call.terminal.say(counted(len(tasks), "task"))


async def _filters(engine: "Engine", given: Namespace) -> dict[str, Any]:
    parent = None if given.parent is None else (await engine.tasks.get(given.parent)).id
    filters = {"status": given.status, "priority": given.priority, "label": given.label, "parent": parent}
    filters["project"] = given.project
    return {**filters, "due_before": given.due_before, "blocked": True if given.blocked else None}


async def show_task(call: Invocation) -> None:
    """Print a task and everything that belongs to it."""
    async with engine_of(call, read_only=True) as engine:
        view = await engine.tasks.view(call.arguments.id)
        linked = await _linked(engine, view.task.id)
        hindrances = await _hindrances(engine, view.task)
        claims = await engine.tasks.locks(view.task.id)
    task, state = view.task, canonical_of_task(view.task)
    parts = {
        "agent": view.agent,
        "execution": view.execution,
        "workspace": view.workspace,
        "approval": view.approval,
    }
    locks = [*map(claim_text, claims[:1]), *undriven_texts(claims)]
    lines = [f"{state_heading('task', task, call.terminal)} ({state})", *state_lines(task)]
    for name, part in parts.items():
        if part is not None:
            lines += [state_heading(name, part, call.terminal), *state_lines(part)]
    lines += (*locks, *hindrances)
    lines += [f"{by} by task {one.id} ({one.status}): {one.title}" for by, ones in linked.items() for one in ones]
    links = {by: [one.id for one in ones] for by, ones in linked.items()}
    shown = {name: None if part is None else part.as_dict() for name, part in parts.items()}
    more = {"claim": claims[0] if claims else None, "held_up": hindrances, **links}
    call.terminal.item({**task.as_dict(), "canonical_state": state, **shown, **more}, "\n".join(lines))
    call.terminal.say(f"history: aura replay --task {task.id}")


async def _hindrances(engine: "Engine", whole: Task) -> Sequence[str]:
    """Return why a task that completes with its parts waits for a human."""
    parts = await engine.tasks.parts(whole.id) if whole.rolls_up else ()
    return held_up(whole, [part for part in parts if part.parent_id == whole.id])


async def _linked(engine: "Engine", task_id: str) -> Mapping[str, Sequence[Task]]:
    """Return the tasks that repair or revert this one."""
    fixing = await all_rows(engine.tasks.list, fixes=task_id)
    reverting = await all_rows(engine.tasks.list, reverts=task_id)
    return {"repaired": fixing, "reverted": reverting}


async def list_locks(call: Invocation) -> None:
    """Print what tasks have for themselves alone, and who waits for it."""
    async with engine_of(call, read_only=True) as engine:
        claims = await engine.tasks.locks()
    call.terminal.table(
        claims,
        ("task", "status", "since (UTC)", "locks", "waits for"),
        lambda claim: (
            claim.task_id,
            "holds" if claim.held else "waits",
            minute_text(claim.held_since or claim.requested_at),
            short(str(claim.locks)),
            listed(claim.waits_for, CLAIMS_NAMED),
        ),
        lambda claim: {"id": claim.task_id, **claim.as_dict()},
    )
    for line in undriven_texts(claims):
        call.terminal.say(line)
    call.terminal.say(counted(len(claims), "claim"))


async def list_executions(call: Invocation) -> None:
    """Print the runs of a task's agents."""
    async with engine_of(call, read_only=True) as engine:
        task = await engine.tasks.get(call.arguments.id)
        runs = await all_rows(engine.executions.list, task=task.id)
    call.terminal.table(
        runs,
        ("id", "status", "executor", "run at (UTC)", "prompt"),
        lambda run: (run.id, run.status, run.executor, minute_text(run.queued_at), short(run.prompt)),
    )
    call.terminal.say(counted(len(runs), "execution"))
