"""``aura db``: read models against the log."""

import sqlite3
from contextlib import closing

import anyio
import pytest

from aura_contracts.events import Snapshot
from aura_contracts.task import TASK
from aura_store import open_log
from aura_store.repository import snapshot_schema
from command_line import call_aura, run_aura


@pytest.fixture
def built(store) -> str:
    """A store with read models."""
    assert call_aura("db", "rebuild", "--store", store).code == 0
    return store


def test_read_models_that_were_never_built(store):
    assert call_aura("db", "info", "--json", "--store", store).objects[0]["read_models"] == 0
    assert call_aura("db", "check", "--store", store).code == 0
    assert call_aura("db", "info", "--json", "--store", store).objects[0]["read_models"] == 54


def test_rebuilt_read_models_say_what_the_log_says(built):
    answer = run_aura("db", "check", "--store", built)
    assert (answer.code, answer.out) == (0, "")
    assert "agree with the log" in answer.err
    (found,) = call_aura("db", "check", "--json", "--store", built).objects
    assert (found["id"], found["status"], found["events"]) == (built, "ok", 54)
    assert found["position"] == 54


def test_read_models_that_are_behind_catch_up(built):
    assert call_aura("audit", "checkpoint", "--store", built).code == 0
    (found,) = call_aura("db", "check", "--json", "--store", built).objects
    assert found["position"] == found["events"] == 55


def test_a_row_that_differs_is_shown_and_rebuilt(built, tasks):
    with closing(sqlite3.connect(built.removeprefix("sqlite:///") + ".models")) as raw, raw:
        raw.execute("UPDATE tasks SET title = 'forged' WHERE id = ?", (tasks[1],))
    answer = call_aura("db", "check", "--json", "--store", built)
    assert (answer.code, answer.error["code"]) == (1, "read_models_differ")
    (row,) = answer.objects
    assert (row["id"], row["status"], row["table"]) == (tasks[1], "different", "tasks")
    assert row["changes"] == [{"field": "title", "before": "forged", "after": "Write the search"}]
    assert call_aura("db", "rebuild", "--store", built).code == 0
    assert call_aura("db", "check", "--store", built).code == 0


def test_a_forged_snapshot_is_shown_and_mended(built, tasks):
    """A snapshot is not sealed, and whoever loads the task believes it."""

    async def forge() -> None:
        async with open_log(built) as log:
            await log.save_snapshot(Snapshot(tasks[1], 3, snapshot_schema(TASK), b'{"id": "forged"}'))

    anyio.run(forge)
    answer = call_aura("db", "check", "--json", "--store", built)
    assert answer.code == 1
    assert [(row["id"], row["status"]) for row in answer.objects] == [(tasks[1], "bad_snapshot")]
    assert call_aura("db", "rebuild", "--store", built).code == 0
    assert call_aura("db", "check", "--store", built).code == 0


def test_info_says_what_is_in_the_store(built):
    (info,) = call_aura("db", "info", "--json", "--store", built).objects
    assert info["id"] == built
    assert info["events"] == 54
    assert info["aggregates"] == {"approval": 5, "task": 3, "agent": 2, "ledger": 1}
    assert info["bytes"]["file"] > 10_000
    assert info["read_models"] == 54
    assert (info["compression"], info["encryption"]) == ("none", "none")
    assert "read models  at the end of the log" in call_aura("db", "info", "--store", built).out


def test_info_says_how_far_the_read_models_are(built):
    assert call_aura("audit", "checkpoint", "--store", built).code == 0
    out = call_aura("db", "info", "--store", built).out
    assert "at position 54" in out
