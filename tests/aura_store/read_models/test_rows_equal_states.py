"""Whatever happens in whatever order: a row says what the state says, and a rebuild says the same again.

Events are drawn from the transition tables, not from commands: all that can be in a log, more than decisions let in.
"""

from datetime import UTC, datetime

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aura_contracts.actors import actor_kind, actor_name, human
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import ImpossibleTransition, InvalidInput
from aura_contracts.events import Append, Fact
from aura_contracts.ports import read_models
from aura_contracts.task import TASK, TaskCreated, TaskSpec
from aura_contracts.timers import timers_of
from aura_contracts.workflow import awaiting_of, progress_of
from aura_store import open_log, open_read_models, world_at
from aura_store.read_models import LogReadModels, check_read_models
from aura_store.read_models._check import same
from aura_store.read_models._database import memory_database
from aura_store.read_models._rows import STATE_TABLES
from read_model_story import NOW, an_id, story, tell
from read_models_under_test import fresh_fold, tables_of
from strategies import actors, json_objects, structs, times

KINDS = ("task", "approval", "agent", "workflow", "execution", "lease", "workspace", "board", "template", "project")
KINDS += ("workflow_definition", "workflow_schedule")
QUERIES = {query.table: query for query in read_models.QUERIES}
BY_NAME = {aggregate.name: aggregate for aggregate in AGGREGATES}
STREAMS = {(kind, n): f"0192f0c1-2d3e-7abc-8d{KINDS.index(kind):x}f-00000000000{n}" for kind in KINDS for n in range(2)}
RENAMED = {
    "task": {"parent_task_id": "parent_id", "attempts": "attempts_failed", "creator": "created_by"},
    "approval": {"created_at": "requested_at"},
    "workflow": {"creator": "created_by", "definition": "revision"},
    "board": {"creator": "created_by"},
    "template": {"creator": "created_by"},
    "project": {"creator": "created_by"},
    "workflow_definition": {"creator": "created_by"},
    "workflow_schedule": {"creator": "created_by"},
}
UNLISTED = {"task": "deleted", "project": "removed", "workflow_schedule": "removed"}
"""The states that a list has only if it is asked for them."""

PLACE = {"position", "version", "updated_at"}
DERIVED = {
    "task": {*PLACE, "metadata", "created_by"},
    "agent": {*PLACE, "task_ids"},
    "approval": {*PLACE, "reviewed_by", "reviewers", "awaited"},
    "workflow": {*PLACE, "steps", "steps_over", "steps_total", "awaiting", "parent_workflow_id", "parent_step_id"},
    "workflow_definition": {*PLACE, "description", "project", "steps_total", "uses"},
    "workflow_schedule": {*PLACE, "cron", "zone", "workflow", "definition", "missed", "overlap"},
    "workspace": {*PLACE, "directory", "folders"},
}


def in_utc(value):
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def plain(value):
    return msgspec.to_builtins(value, builtin_types=(datetime,))


def assert_row_says_state(kind, row, state):
    for name, value in row.items():
        if name not in DERIVED.get(kind, PLACE):
            known = getattr(state, RENAMED.get(kind, {}).get(name, name))
            wanted = msgspec.to_builtins(known) if isinstance(value, list | dict) else in_utc(plain(known))
            assert same(value, wanted), f"{kind}.{name}"
    if kind == "task":
        assert row["created_by"] == actor_kind(state.created_by)
        notes = {"proposedSolution": state.proposed_solution, "approvalNotes": state.approval_notes}
        assert same(row["metadata"], {"context": state.context, **notes})
    if kind == "approval":
        assert set(row["reviewers"]) >= {*state.seats, *state.awaited}
        assert row["awaited"] == list(state.awaited if state.status == "pending" else ())
        if state.reviewed_by is not None:
            assert row["reviewed_by"] == actor_name(state.reviewed_by)
    if kind == "workflow_definition":
        definition = state.definition
        assert (row["description"], row["project"]) == (definition.description, definition.project)
        assert row["steps_total"] == len(list(definition.walk()))
        called = [step.config.workflow for step in definition.walk() if step.type == "workflow"]
        assert row["uses"] == sorted({text.split("@")[0] for text in called})
    if kind == "workflow_schedule":
        assert [row[name] for name in ("cron", "zone", "workflow")] == [
            state.plan.cron,
            state.plan.zone,
            state.plan.workflow,
        ]
        assert (row["missed"], row["overlap"]) == (state.plan.missed, state.plan.overlap)
        assert row["definition"] == state.plan.workflow.split("@")[0]
    if kind == "workflow":
        assert (row["steps_over"], row["steps_total"]) == progress_of(state)
        assert tuple(row["awaiting"]) == awaiting_of(state)
        assert [one["id"] for one in row["steps"]] == list(state.steps)
        assert row["parent_workflow_id"] == (None if state.parent is None else state.parent.workflow_id)
        assert row["parent_step_id"] == (None if state.parent is None else state.parent.step_id)


async def something_happens(log, data, streams):
    """Draw an event that the table has a row for, and append it."""
    kind, number = data.draw(st.sampled_from(sorted(streams)))
    aggregate, stream_id = BY_NAME[kind], streams[kind, number]
    facts = await log.facts(stream_id)
    state = aggregate.fold(facts)
    row = aggregate.table.get(None if state is None else state.status, {})
    if not row:
        return
    event = data.draw(st.sampled_from(list(row)).flatmap(structs))
    if f"{kind}_id" in event.__struct_fields__:  # as every decision has it
        event = msgspec.structs.replace(event, **{f"{kind}_id": stream_id})
    fact = Fact(event, data.draw(times()), data.draw(actors()), "c", "c")
    try:
        aggregate.evolve(state, fact)
        await log.append(Append(stream_id, len(facts), (fact,)))
    except (ImpossibleTransition, InvalidInput, ValueError, OverflowError):
        pass  # a step that the workflow has not; a number that no log stores, or no decision lets in


def assert_timers_say_states(rows, states):
    """There is a timer for each moment that a state waits for, and no other."""
    wanted = {
        (state.id, purpose, in_utc(timer.due_at), timer.counts_from and in_utc(timer.counts_from)): kind
        for kind, found in states.items()
        for state in found.values()
        for purpose, timer in timers_of(state).items()
    }
    columns = ("stream_id", "purpose", "due_at", "counts_from")
    assert {tuple(row[name] for name in columns): row["kind"] for row in rows} == wanted
    assert len(rows) == len(wanted)


async def compare(log, models):
    """Every row, every state that is listed and every state that is got says what the log says."""
    world = await world_at(log)
    tables = await tables_of(models)
    for kind, listed in STATE_TABLES.items():
        states = world.states.get(kind, {})
        rows = {row["id"]: row for row in tables[listed.table.name]}
        assert rows.keys() == states.keys()
        found = [state async for state in models.rows(QUERIES[listed.table.name](limit=2, sort="id"))]
        wanted = sorted((key for key, state in states.items() if state.status != UNLISTED.get(kind)), reverse=True)
        assert [state.id for state in found] == wanted
        for state in found:
            assert state == states[state.id] == await models.get(listed.aggregate, state.id)
        for stream_id, state in states.items():
            assert_row_says_state(kind, rows[stream_id], state)
    assert_timers_say_states(tables["timers"], world.states)


@pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=pytest.mark.deep)])
@settings(
    max_examples=settings().max_examples // 4,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_rows_say_what_states_say(backend, data):
    async def main():
        async with open_log("memory:") as log:
            begun = story()
            await tell(log, begun[: data.draw(st.integers(0, len(begun)), label="story")])
            streams = STREAMS | {(event.topic.partition(".")[0], 9): stream for stream, event in begun}
            models = LogReadModels(log, memory_database(), batch=data.draw(st.integers(1, 30)))
            for _ in range(data.draw(st.integers(1, 25), label="events")):
                await something_happens(log, data, streams)
                if data.draw(st.integers(0, 5)) == 0:
                    await models.catch_up()
            await models.catch_up()
            await compare(log, models)
            step_by_step = await tables_of(models)
            await models.rebuild()
            assert await tables_of(models) == step_by_step
            assert same(step_by_step, await fresh_fold(log))
            await models.aclose()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.deep)])
@settings(
    max_examples=settings().max_examples // 6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(contexts=st.lists(json_objects(), min_size=1, max_size=20))
def test_any_json_comes_back_as_it_was(request, tmp_path_factory, database, contexts):
    async def main(url):
        async with open_log(url) as log, open_read_models(log) as models:
            for n, context in enumerate(contexts):
                created = TaskCreated(task_id=an_id(n), spec=TaskSpec(title="t", context=context))
                await log.append(Append(an_id(n), 0, (Fact(created, NOW, human("alice"), "c", "c"),)))
            await models.catch_up()
            for n, context in enumerate(contexts):
                assert same((await models.get(TASK, an_id(n))).context, context)
            assert (await check_read_models(models)).ok

    if database == "sqlite":
        anyio.run(main, f"sqlite:///{tmp_path_factory.mktemp('json') / 'a.db'}")
    else:
        server = request.getfixturevalue("postgres")
        with server.database() as name:
            anyio.run(main, server.url(name))
