"""Usage: sums are exact however they come about, and costs follow from the log and a table of prices alone."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aura_contracts import execution as ex
from aura_contracts.actors import human
from aura_contracts.entries import Usage
from aura_contracts.errors import InvalidInput, NaiveDatetime
from aura_contracts.events import Append, Fact
from aura_contracts.execution import EXECUTION, UsageRecorded
from aura_contracts.ports.archive import UsageKey
from aura_contracts.ports.read_models import UsageQuery
from aura_contracts.ports.rows import UsageSum
from aura_store import open_log, open_read_models
from aura_store.pricing import cost_of, parse_prices, read_prices, usage_of
from aura_store.pricing._amounts import amounts_of
from aura_store.read_models import check_read_models
from read_model_story import an_id

NIGHT = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)
RUNS = {an_id(10): an_id(1), an_id(11): an_id(1), an_id(12): an_id(2)}
"""Execution -> task."""

CHEAP, DEAR = (
    parse_prices(
        f"""[models]
"m-1" = [
  {{ from = 2026-01-01, input = {dollars}, output = {dollars}, cache_read = 0.5 }},
  {{ from = 2026-02-01, input = {2 * dollars}, output = {dollars} }},
]
""".encode(),
        "test",
    )
    for dollars in (1, 100)
)

pytestmark = pytest.mark.anyio


async def put(log, stream, event, time=NIGHT):
    version = len(await log.facts(stream))
    return await log.append(Append(stream, version, (Fact(event, time, human("alice"), "c", "c"),)))


async def begin(log, run, **fields):
    """Bring a run to the stage in which its agent works."""
    queued = ex.ExecutionQueued(
        execution_id=run, spec=ex.ExecutionSpec(task_id=RUNS[run], executor="claude", prompt="p", **fields)
    )
    steps = (ex.PreparationStarted(), ex.PreparationFinished(workspace_id=an_id(90)), ex.SetupFinished())
    for event in (queued, *steps):
        await put(log, run, event)


def used(model="m-1", *tokens, cost=0.0, complete=True):
    return UsageRecorded(usage=Usage(*tokens, cost=cost), model=model, complete=complete)


@pytest.fixture(params=["sqlite", "postgresql"])
async def models(request, tmp_path):
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'a.db'}"
    async with open_log(url) as log, open_read_models(log) as models:
        models.log = log
        yield models


async def tell(log):
    """Two runs of a task and one of another, in three sessions, over midnight."""
    first, second, third = RUNS
    await begin(log, first, agent_id=an_id(50))
    await put(log, first, used("m-1", 1_000_000, 5))
    await put(log, first, ex.SessionRecorded(session_id="s-1"))
    await put(log, first, used("m-1", 1_000_000, cost=0.1, complete=False))
    await put(log, first, used("m-1", 1_000_000, cost=0.2), NIGHT + timedelta(hours=2))
    await put(log, first, used("m-2", 7, 8, 9, 10, cost=0.3), NIGHT + timedelta(hours=2))
    await begin(log, second, session_id="s-1")
    await put(log, second, used("m-1", 0, 1_000_000))
    await begin(log, third)
    await put(log, third, ex.SessionRecorded(session_id="s-2"))
    await put(log, third, used("", cost=1.5))


@pytest.mark.deep_but_first
async def test_a_report_that_leaves_something_out_marks_every_sum_that_it_is_in(models):
    await tell(models.log)
    await models.catch_up()
    sums = await models.usage()
    for key, marked in ((UsageKey.TASK, an_id(1)), (UsageKey.SESSION, "s-1"), (UsageKey.DAY, "2026-01-31")):
        costs = cost_of(sums, read_prices(), by=key)
        assert {each.id: each.incomplete for each in costs if each.incomplete} == {marked: 1}
    assert [row.incomplete for row in (await models.list(UsageQuery(descending=False))).rows] == [0, 1, 0, 0, 0, 0]


# --- Sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_sums_are_by_run_session_model_and_day(models):
    await tell(models.log)
    await models.catch_up()
    sums = await models.usage()
    assert sums == await usage_of(models.log)
    assert [(str(each.day), each.execution_id, each.session_id, each.model, each.input_tokens) for each in sums] == [
        ("2026-01-31", an_id(10), None, "m-1", 1_000_000),
        ("2026-01-31", an_id(10), "s-1", "m-1", 1_000_000),
        ("2026-01-31", an_id(11), "s-1", "m-1", 0),
        ("2026-01-31", an_id(12), "s-2", "", 0),
        ("2026-02-01", an_id(10), "s-1", "m-1", 1_000_000),
        ("2026-02-01", an_id(10), "s-1", "m-2", 7),
    ]
    assert [each.incomplete for each in sums] == [0, 1, 0, 0, 0, 0]
    assert sums[-1] == UsageSum(
        day=date(2026, 2, 1),
        execution_id=an_id(10),
        task_id=an_id(1),
        agent_id=an_id(50),
        executor="claude",
        session_id="s-1",
        model="m-2",
        input_tokens=7,
        output_tokens=8,
        cache_read_tokens=9,
        cache_write_tokens=10,
        reported_nanodollars=300_000_000,
        reports=1,
    )


async def test_sums_of_a_task_and_since_a_moment(models):
    await tell(models.log)
    await models.catch_up()
    later = NIGHT + timedelta(hours=2)
    for asked, reports in (
        ({"task": an_id(2)}, 1),
        ({"task": an_id(1)}, 5),
        ({"since": later}, 2),
        ({"since": later + timedelta(seconds=1)}, 0),
        ({"since": 0}, 6),
        ({"since": await models.log.head() - 1}, 1),
        ({"since": await models.log.head()}, 0),
    ):
        sums = await models.usage(**asked)
        assert sums == await usage_of(models.log, **asked)
        assert sum(each.reports for each in sums) == reports
    for since, error in ((-1, InvalidInput), (datetime(2026, 1, 1), NaiveDatetime)):  # noqa: DTZ001 - what is refused
        with pytest.raises(error):
            await models.usage(since=since)
        with pytest.raises(error):
            await usage_of(models.log, since=since)


async def test_reports_are_listed_one_by_one(models):
    await tell(models.log)
    await models.catch_up()
    page = await models.list(UsageQuery(execution=an_id(10), descending=False))
    assert [(row.session_id, row.model) for row in page.rows] == [(None, "m-1"), *[("s-1", "m-1")] * 2, ("s-1", "m-2")]
    assert len((await models.list(UsageQuery(model="m-2", task=an_id(1)))).rows) == 1
    assert (await models.list(UsageQuery(used_before=NIGHT))).rows == ()


_MODELS = st.sampled_from(["m-1", "M-1", "m-2", ""])
_TOKENS = st.integers(0, 9) | st.integers(0, 2**40)
_COSTS = st.sampled_from([0.0, 0.1, 0.2, 1e-9, 1e300]) | st.floats(0, 10)
_USED = st.builds(used, _MODELS, _TOKENS, _TOKENS, _TOKENS, _TOKENS, cost=_COSTS)
_EVENTS = _USED | st.builds(ex.SessionRecorded, session_id=st.sampled_from(["s-1", "s-2"]))
_HOURS = st.integers(-50, 50).map(lambda hours: NIGHT + timedelta(hours=hours))


async def summed_by_states(log):
    """Fold the log with the rules of executions, all of them, and count what each state adds."""
    states, sums = {}, Counter()
    async for record in log.read():
        state = states[record.stream_id] = EXECUTION.evolve(states.get(record.stream_id), record)
        if isinstance(record.event, UsageRecorded):
            key = (record.time.astimezone(UTC).date(), state.id, state.session_id, record.event.model)
            for name, amount in msgspec.structs.asdict(amounts_of(record.event.usage)).items():
                sums[key, name] += amount
    return sums, states


@pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=pytest.mark.deep)])
@settings(max_examples=settings().max_examples // 4, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_read_models_and_replay_agree_on_every_sum(backend, data):
    async def main():
        async with open_log("memory:") as log:
            for run in RUNS:
                await begin(log, run)
            async with open_read_models(log) as models:
                for run, event, time in data.draw(st.lists(st.tuples(st.sampled_from([*RUNS]), _EVENTS, _HOURS))):
                    await put(log, run, event, time)
                    if data.draw(st.integers(0, 3)) == 0:
                        models._batch = data.draw(st.integers(1, 4))
                        await models.catch_up()
                await models.catch_up()
                sums = await models.usage()
                await models.rebuild()
                assert sums == await models.usage() == await usage_of(log)
                counted, states = await summed_by_states(log)
                assert counted == {
                    ((each.day, each.execution_id, each.session_id, each.model), name): getattr(each, name)
                    for each in sums
                    for name in msgspec.structs.asdict(amounts_of(Usage()))
                }
                for run, state in states.items():
                    mine = [each for each in sums if each.execution_id == run]
                    assert state.usage.input_tokens == sum(each.input_tokens for each in mine)
                    assert state.usage.output_tokens == sum(each.output_tokens for each in mine)
                for table in (CHEAP, DEAR):
                    totals = {sum(line.cost for line in cost_of(sums, table, by=by)) for by in UsageKey}
                    assert len(totals) == 1, "whatever it is added up by"

    anyio.run(main, backend=backend)


def test_what_nobody_can_have_consumed_does_not_stop_the_sums():
    huge = amounts_of(Usage(input_tokens=2**63, output_tokens=-(2**70), cost=float("inf")))
    assert (huge.input_tokens, huge.output_tokens, huge.reported_nanodollars) == (2**42, -(2**42), 0)
    assert amounts_of(Usage(cost=1e300)).reported_nanodollars == 10**14


# --- Costs ------------------------------------------------------------------------------------------------------------


async def told():
    async with open_log("memory:") as log:
        await tell(log)
        return await usage_of(log)


def costs(sums, table, by):
    return {line.id: line.cost for line in cost_of(sums, table, by=by)}


async def test_costs_by_everything():
    sums = await told()
    run_1, run_2, other = Decimal("4.300005"), Decimal(1), Decimal("1.5")
    assert costs(sums, CHEAP, UsageKey.RUN) == {an_id(10): run_1, an_id(11): run_2, an_id(12): other}
    assert costs(sums, CHEAP, UsageKey.TASK) == {an_id(1): run_1 + run_2, an_id(2): other}
    assert costs(sums, CHEAP, UsageKey.AGENT) == {an_id(50): run_1, "claude": run_2 + other}
    assert costs(sums, CHEAP, UsageKey.MODEL) == {"m-1": Decimal("5.000005"), "m-2": Decimal("0.3"), "": other}
    assert costs(sums, CHEAP, UsageKey.SESSION) == {"": Decimal("1.000005"), "s-1": Decimal("4.3"), "s-2": other}
    assert costs(sums, CHEAP, UsageKey.DAY) == {"2026-01-31": Decimal("4.500005"), "2026-02-01": Decimal("2.3")}


async def test_what_agents_report_is_kept_apart_and_counts_where_there_is_no_price():
    first, second = cost_of(await told(), CHEAP, by=UsageKey.TASK)
    assert (first.reported, first.unpriced) == (Decimal("0.6"), ("m-2",))
    assert (second.cost, second.reported, second.unpriced) == (Decimal("1.5"), Decimal("1.5"), ())
    assert (first.models, first.executors, first.reports) == (("m-1", "m-2"), ("claude",), 5)


async def test_a_cost_of_the_whole_run_is_not_paid_beside_its_tokens():
    async with open_log("memory:") as log:
        run = next(iter(RUNS))
        await begin(log, run)
        await put(log, run, used("m-1", 1_000_000))
        await put(log, run, used("", cost=0.9))
        await put(log, run, used("<synthetic>"))
        (line,) = cost_of(await usage_of(log), CHEAP, by=UsageKey.RUN)
        assert (line.cost, line.reported, line.unpriced) == (1, Decimal("0.9"), ())


@pytest.mark.deep
async def test_another_table_gives_other_costs_from_the_same_log(models):
    """No event changes, nor any row: what was priced wrongly is right as soon as the table is."""
    log = models.log
    await tell(log)
    await models.catch_up()
    rows = await log.sealed_page(0)
    by_replay = [cost_of(await usage_of(log), table) for table in (CHEAP, DEAR, CHEAP)]
    by_models = [cost_of(await models.usage(), table) for table in (CHEAP, DEAR, CHEAP)]
    assert by_replay == by_models
    assert by_replay[0] == by_replay[2]
    assert [lines[0].cost for lines in by_replay[:2]] == [Decimal("5.300005"), Decimal("500.3005")]
    assert await log.sealed_page(0) == rows
    assert (await check_read_models(models)).ok
    assert all(line.unpriced for line in cost_of(await usage_of(log), read_prices(), by=UsageKey.MODEL) if line.id)
