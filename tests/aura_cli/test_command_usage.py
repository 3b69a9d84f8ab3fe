"""``aura usage``: what was consumed and what it cost."""

import anyio
import pytest

from aura_contracts import execution as ex
from aura_contracts.actors import human
from aura_contracts.entries import Usage
from aura_contracts.events import Append, Fact
from aura_contracts.task import TaskCreated, TaskSpec
from aura_engine.host import new_ids, now
from aura_store import open_log
from command_line import call_aura

NEW_ID = new_ids()
IDS = [NEW_ID() for _ in range(4)]


@pytest.fixture
def used(tmp_path, monkeypatch):
    """A store with two tasks, a run of each, and a home of one's own."""
    monkeypatch.setenv("AURA_HOME", str(tmp_path))
    monkeypatch.setenv("AURA_STORE", f"sqlite:///{tmp_path / 'aura.db'}")
    anyio.run(_tell, f"sqlite:///{tmp_path / 'aura.db'}")
    return tmp_path


async def _tell(url):
    async with open_log(url) as log:
        for task, run, model in ((IDS[0], IDS[1], "gpt-5"), (IDS[2], IDS[3], "house\x1bmodel")):
            usage = Usage(1_200_000, 100_000, 10, 0, cost=0.25)
            steps = (
                ex.ExecutionQueued(execution_id=run, spec=ex.ExecutionSpec(task_id=task, executor="codex", prompt="p")),
                ex.PreparationStarted(),
                ex.PreparationFinished(workspace_id=run),
                ex.SetupFinished(),
                ex.SessionRecorded(session_id=f"s-{model[:5]}"),
                ex.UsageRecorded(usage=usage, model=model, complete=model == "gpt-5"),
            )
            created = TaskCreated(task_id=task, spec=TaskSpec(title="t"))
            for stream, events in ((task, (created,)), (run, steps)):
                facts = tuple(Fact(event, now(), human("alice"), "c", "c") for event in events)
                await log.append(Append(stream, 0, facts))


def test_usage_is_listed_for_programs(used):
    priced, unpriced = call_aura("usage", "--json").objects
    day = priced.pop("first_day")
    assert priced == {
        "id": IDS[0],
        "input_tokens": 1_200_000,
        "output_tokens": 100_000,
        "cache_read_tokens": 10,
        "cache_write_tokens": 0,
        "cost": 2.50000125,
        "reported_cost": 0.25,
        "unpriced": [],
        "models": ["gpt-5"],
        "executors": ["codex"],
        "task_ids": [IDS[0]],
        "last_day": day,
        "reports": 1,
        "incomplete": 0,
    }
    assert (unpriced["cost"], unpriced["unpriced"], unpriced["incomplete"]) == (0.25, ["house\x1bmodel"], 1)


def test_usage_is_listed_for_people(used):
    answer = call_aura("usage", "--by", "session")
    title, priced, unpriced = answer.out.splitlines()
    assert title.split() == ["session", "input", "output", "cache", "read", "cache", "write", "cost", "models"]
    assert priced.split() == ["s-gpt-5", "1,200,000", "100,000", "10", "0", "$2.5000", "gpt-5"]
    assert unpriced.split() == ["s-house", "1,200,000", "100,000", "10", "0", "$0.2500*+", "house\\x1bmodel"]
    total, mark, incomplete = answer.err.splitlines()
    assert total == "2 sessions, $2.7500"
    assert mark.startswith("* without a price: house\\x1bmodel;")
    assert incomplete == "+ more was used: 1 report of agents left something out"


@pytest.mark.parametrize(
    ("by", "ids"),
    [
        ("run", {IDS[1], IDS[3]}),
        ("session", {"s-gpt-5", "s-house"}),
        ("task", {IDS[0], IDS[2]}),
        ("agent", {"codex"}),
        ("model", {"gpt-5", "house\x1bmodel"}),
    ],
)
def test_usage_by_everything(used, by, ids):
    assert {line["id"] for line in call_aura("usage", "--by", by, "--json").objects} == ids
    assert len(call_aura("usage", "--by", "day", "--json").objects) in (1, 2)


def test_usage_of_a_task_and_since_a_moment(used):
    (line,) = call_aura("usage", "--task", IDS[2], "--json").objects
    assert line["id"] == IDS[2]
    (line,) = call_aura("usage", "--since", "7", "--json").objects
    assert line["id"] == IDS[2]
    assert call_aura("usage", "--since", "2999-01-01T00:00Z", "--json").out == ""
    nothing = call_aura("usage", "--since", "2999-01-01T00:00Z")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "0 tasks, $0.0000\n")
    assert call_aura("usage", "--task", "ffff", "--json").error["code"] == "not_found"


def test_prices_of_ones_own_change_the_past(used):
    own = used / "prices.toml"
    own.write_text('[models]\n"house*" = [{from = 2020-01-01, input = 1, output = 0}]\n')
    assert call_aura("usage", "--task", IDS[2], "--json").objects[0]["cost"] == 1.20001
    own.write_text('[models]\n"house*" = [{from = 2020-01-01, input = "?", output = 0}]\n')
    answer = call_aura("usage", "--json")
    assert (answer.code, answer.error["code"]) == (1, "invalid_prices")
    assert (answer.error["facts"]["file"], answer.error["facts"]["field"]) == (str(own), 'models."house*"[0].input')


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    answer = call_aura("usage", "--json", "--store", f"sqlite:///{tmp_path}/none.db")
    assert (answer.code, answer.error["code"]) == (1, "store_misconfigured")
    assert list(tmp_path.iterdir()) == []
