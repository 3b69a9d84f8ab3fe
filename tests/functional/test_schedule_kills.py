"""A service that is killed while a schedule fires, and right after: its workflow starts once, and works once."""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from aura_contracts.workflow import CommandStep, StepDefinition, WorkflowDefinition
from aura_contracts.workflow_schedule import ScheduleFired, schedule_id, scheduled_workflow_id
from aura_engine import open_engine
from aura_engine.host import Host
from conditions import until
from engines import events_of

pytestmark = pytest.mark.anyio

DRIVER = Path(__file__).parent / "service_driver.py"
PATIENCE = 200
START = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)
DUE = START + timedelta(minutes=30)


def set_clock(folder, moment):
    folder.joinpath("next").write_text(moment.isoformat())
    folder.joinpath("next").replace(folder / "clock")


async def serve(folder, repository, url):
    """Start a service, and wait until it is at work."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AURA_HOME": str(folder / "home"),
        "AURA_STORE": url,
        "AURA_USER": "alice",
    }
    process = await anyio.open_process([sys.executable, DRIVER, folder], env=environment, cwd=repository, stderr=None)
    said = b""
    while b'"serving"' not in said:
        said += await process.stdout.receive()
    return process


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'aura.db'}"


@pytest.mark.parametrize("step", ["begun", "done"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # what is tested runs in processes of its own
async def test_a_moment_starts_one_workflow_whatever_is_killed(url, repository, tmp_path, step):
    set_clock(tmp_path, START)
    work = StepDefinition(id="work", config=CommandStep(run=f"echo done >> {tmp_path}/effects"))
    recording = {"home": tmp_path / "home", "user": "alice"}
    host = Host(clock=lambda: datetime.fromisoformat((tmp_path / "clock").read_text()))
    with anyio.fail_after(PATIENCE):
        async with open_engine(url, record_only=True, host=host, **recording) as engine:
            await engine.workflows.create(WorkflowDefinition(name="build", steps=(work,)))
            made = await engine.schedules.save("often", "build", "@hourly")
        first = await serve(tmp_path, repository, url)
        (tmp_path / "doom").write_text(f"{ScheduleFired.topic} {step}")
        set_clock(tmp_path, DUE)
        assert await first.wait() == -signal.SIGKILL
        await first.aclose()
        (tmp_path / "doom").unlink()
        assert not (tmp_path / "effects").exists()
        second = await serve(tmp_path, repository, url)
        async with open_engine(url, read_only=True, **recording) as engine:

            async def is_completed():
                return [str(one.status) for one in await engine.workflows.list()] == ["completed"]

            await until(is_completed, PATIENCE)
            (only,) = await engine.workflows.list()
            assert only.id == scheduled_workflow_id(made.id, DUE)
            events = await events_of(engine, schedule_id("often"))
            assert [one.scheduled_at for one in events if isinstance(one, ScheduleFired)] == [DUE]
        second.terminate()
        assert await second.wait() == 0
        await second.aclose()
    assert (tmp_path / "effects").read_text() == "done\n"
