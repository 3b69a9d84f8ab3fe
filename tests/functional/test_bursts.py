"""Ten runs start at the same moment on one store, again and again: each one begins, and nobody sees a race.

``AURA_STARTS`` is how many start in all: 10 by default, 1000 for a thorough run.
"""

import os

import anyio
import pytest

from aura_store import open_log
from repositories import git
from sites import PATIENCE, made_site, wait

BURST = 10
STARTS = int(os.environ.get("AURA_STARTS", str(BURST)))


@pytest.fixture(params=["sqlite", "postgres"])
def site(request, tmp_path):
    with made_site(tmp_path) as made:
        if request.param == "postgres":
            made.variables["AURA_STORE"] = request.getfixturevalue("postgres_url")
        yield made


@pytest.mark.deep
def test_many_runs_start_in_bursts(site):
    def start(number):
        return site.run(
            *("--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", f"echo {number} > {number}"),
            *("--prompt", f"Add {number}", "--approval", "auto"),
        )

    for first in range(0, STARTS, BURST):
        processes = [start(number) for number in range(first, first + BURST)]
        assert [wait(process, BURST * PATIENCE) for process in processes] == [0] * BURST, site.said
    assert "error" not in site.said
    assert "Traceback" not in site.said
    merged = {int(name) for name in git(site.repository, "ls-files").split() if name.isdigit()}
    assert merged == set(range(STARTS))
    anyio.run(_check_the_log, site.environment["AURA_STORE"])


async def _check_the_log(url):
    async with open_log(url, read_only=True) as log:
        topics = [record.event.topic async for record in log.read()]
    assert topics.count("task.completed") == topics.count("execution.queued") == STARTS
    assert "execution.stage_retried" not in topics
