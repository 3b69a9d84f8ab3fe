"""Auditing: what vouches for the log must itself hold. What tampering looks like is in `tests/functional`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aura_contracts.events import Append, Fact
from aura_contracts.ids import TaskId
from aura_contracts.ledger import LEDGER_ID, Checkpointed
from aura_contracts.task import TaskCreated, TaskSpec
from aura_store import open_log
from aura_store.audit import verify
from aura_store.testing.log_conformance import fact, stream_id

pytestmark = pytest.mark.anyio


def created(number: int) -> Append:
    task_id = TaskId(stream_id(number))
    return Append(task_id, 0, (fact(TaskCreated(task_id=task_id, spec=TaskSpec(title=f"Task {number}"))),))


def checkpointed(upto: int, root: str) -> tuple[Fact, ...]:
    return (fact(Checkpointed(upto=upto, root=root)),)


async def test_a_later_checkpoint_does_not_replace_an_earlier_one() -> None:
    """Who rewrites the log and then has it checkpointed again is still found."""
    async with open_log("memory:") as log:
        await log.append(created(1))
        root = (await verify(log)).root
        await log.append(Append(LEDGER_ID, 0, checkpointed(1, "00" * 32)))
        await log.append(Append(LEDGER_ID, 1, checkpointed(1, root)))
        report = await verify(log)
    assert report.first_bad is not None
    assert report.first_bad.position == 1
    assert "00" * 32 in report.first_bad.reason


@pytest.mark.parametrize("change", ["DELETE FROM log_head", "UPDATE log_head SET position = 'none'"])
async def test_a_head_that_is_none_is_a_finding(change: str, tmp_path: Path) -> None:
    path = tmp_path / "aura.db"
    async with open_log(f"sqlite:///{path}") as log:
        await log.append(created(1))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
    async with open_log(f"sqlite:///{path}", auditing=True) as log:
        report = await verify(log)
    assert report.first_bad is not None
    assert "log_head" in report.first_bad.reason
