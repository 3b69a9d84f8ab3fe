"""Engines that are killed between what happens to a task and what that means for its card: the card catches up, once.

``AURA_KILLS`` is how often each case is played: 1 by default, 33 for the hundred kills of a thorough run.
"""

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from aura_contracts.board import (
    DEFAULT_COLUMNS,
    CanonicalState,
    CardMoved,
    CardPlaced,
    ColumnDefinition,
    canonical_of_task,
    column_of_card,
)

pytestmark = pytest.mark.anyio

DRIVER = Path(__file__).parent / "board_driver.py"
KILLS = range(int(os.environ.get("AURA_KILLS", "1")))
SOON = ColumnDefinition(id="soon", name="Soon", state=CanonicalState.READY)
ENGINE, PERSON = "system:engine", "human:alice"


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


async def run_engine(tmp_path, moment):
    """Run an engine until it dies or has nothing to do; return its exit code."""
    command = [sys.executable, str(DRIVER), f"sqlite:///{tmp_path / 'aura.db'}", str(tmp_path / "home"), moment]
    with anyio.fail_after(300):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = await anyio.run_process(command, check=False, env=environment)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


async def moves_of(engine, board):
    """Return who moved or placed which card where, in order."""
    records = await engine.events.list(stream=board.id, limit=1000)
    return [
        (record.actor, record.event.task_id, getattr(record.event, "to_column", getattr(record.event, "column_id", "")))
        for record in records
        if isinstance(record.event, CardMoved | CardPlaced)
    ]


@pytest.mark.parametrize("_", KILLS)
@pytest.mark.parametrize("person", ["nobody", "person"])
@pytest.mark.parametrize("moment", ["before", "while", "after"])
async def test_a_card_catches_up_with_one_move_and_leaves_alone_what_a_person_did(opened, tmp_path, moment, person, _):
    async with opened(record_only=True) as engine:
        task = await engine.tasks.create("Write it")
        board = await engine.boards.create("Team", columns=(*DEFAULT_COLUMNS, SOON))
        await engine.tasks.move(task.id, "ready")
        new = await engine.tasks.create("Another")
        known = await moves_of(engine, board)
    assert await run_engine(tmp_path, moment) == -signal.SIGKILL
    expected = [*known, (ENGINE, task.id, "ready"), (ENGINE, new.id, "backlog")]
    async with opened(record_only=True) as engine:
        if person == "person":
            await engine.boards.move("Team", task.id, "Soon")
            expected.append((PERSON, task.id, "soon"))
    for _again in range(2):
        assert await run_engine(tmp_path, "never") == 0
    async with opened(read_only=True) as engine:
        assert sorted(await moves_of(engine, board)) == sorted(expected)
        recorded = await engine.boards.get("Team")
        for one in (task, new):
            state = canonical_of_task(await engine.tasks.get(one.id))
            assert column_of_card(recorded, one.id).state is state


async def test_two_engines_at_once_move_each_card_once(opened, tmp_path):
    async with opened(record_only=True) as engine:
        tasks = [await engine.tasks.create(f"Task {number}") for number in range(10)]
        board = await engine.boards.create("Team")
        known = await moves_of(engine, board)
        for task in tasks:
            await engine.tasks.move(task.id, "ready")
        new = [await engine.tasks.create(f"New task {number}") for number in range(5)]
    codes = []

    async def run():
        codes.append(await run_engine(tmp_path, "never"))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
    assert codes == [0, 0]
    async with opened(read_only=True) as engine:
        moves = (await moves_of(engine, board))[len(known) :]
        assert sorted(moves) == sorted(
            [(ENGINE, task.id, "ready") for task in tasks] + [(ENGINE, task.id, "backlog") for task in new]
        )
