"""Processes that catch up, killed with SIGKILL at moments that nobody chose: nothing is lost or doubled."""

import random
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from aura_contracts.task import TASK
from aura_store import open_log, open_read_models
from aura_store.read_models import check_read_models
from aura_store.read_models._check import same
from read_model_story import an_id, story, tell
from read_models_under_test import fresh_fold, tables_of

pytestmark = pytest.mark.anyio

KILLS = 6


@asynccontextmanager
async def follower(url):
    """Run a runner; kill it when left, whatever it is doing."""
    async with await anyio.open_process([sys.executable, str(Path(__file__).with_name("follow.py")), url]) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.mark.deep
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_killed_again_and_again_while_the_log_grows(request, tmp_path, database):
    url = request.getfixturevalue("postgres_url") if database == "postgresql" else f"sqlite:///{tmp_path / 'a.db'}"
    rng = random.Random(7)
    chapters = iter(range(1000))
    async with open_log(url) as log, anyio.create_task_group() as tasks:
        enough = anyio.Event()

        async def write():
            while not enough.is_set():
                await tell(log, story(next(chapters)))

        tasks.start_soon(write)
        for kill in range(KILLS):
            async with follower(url) as process:
                if kill % 3:  # else before it has said a word
                    await process.stdout.receive()
                await log.wait(await log.head() + rng.randrange(20))
        enough.set()
    async with open_log(url) as log, open_read_models(log) as models:
        assert same(await tables_of(models), await fresh_fold(log, await models.position()))
        assert await models.catch_up() == await log.head()
        assert (await check_read_models(models)).ok
        assert await models.get(TASK, an_id(0))


async def test_two_processes_and_one_is_killed(tmp_path):
    url = f"sqlite:///{tmp_path / 'a.db'}"
    async with open_log(url) as log:
        async with follower(url) as first, follower(url) as second:
            await first.stdout.receive()
            await second.stdout.receive()
            await tell(log, story())
            first.kill()
            end = await tell(log, story(1))
            async with open_read_models(log) as models:
                while await models.position() != end:
                    assert second.returncode is None
        async with open_read_models(log) as models:
            assert (await check_read_models(models)).ok
            assert await models.catch_up() == end
