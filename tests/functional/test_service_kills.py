"""A service that is killed before, while and after each timer is due: each takes effect once all the same.

``AURA_KILLS`` is how often each case is played: 1 by default, 33 for the hundred kills of a thorough run.
"""

import os
import signal
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.approval import (
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalKind,
    ApprovalStatus,
    Question,
    ReminderSent,
    RequestApproval,
)
from aura_contracts.service import SERVICE_ID, ServiceStarted, ServiceStopped
from aura_engine.host import now
from engines import events_of

pytestmark = pytest.mark.anyio

DRIVER = Path(__file__).parent / "timekeeper_driver.py"
KILLS = range(int(os.environ.get("AURA_KILLS", "1")))


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


async def run_service(tmp_path, hours, moment):
    """Run a service whose clock is ahead by `hours`, until it dies or has nothing to do; return its exit code."""
    command = [sys.executable, str(DRIVER), f"sqlite:///{tmp_path / 'aura.db'}", str(tmp_path / "home")]
    with anyio.fail_after(300):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = await anyio.run_process([*command, str(hours), moment], check=False, env=environment)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


@pytest.mark.parametrize("_", KILLS)
@pytest.mark.parametrize(
    "moment", [pytest.param("before", marks=pytest.mark.deep), "while", pytest.param("after", marks=pytest.mark.deep)]
)
async def test_each_takes_effect_once(opened, tmp_path, moment, _):
    async with opened() as engine:
        core, task = engine._core, await engine.tasks.create("Something")
        about = {"kind": ApprovalKind.QUESTION, "proposed_solution": "May I?", "task_id": task.id}
        people = {"reviewers": ("alice",), "escalate_to": ("eve",), "deadline": now() + timedelta(hours=72)}
        ident = core.bus.new_id()
        request = RequestApproval(approval_id=ident, question=Question(**about, **people))
        await core.bus.handle(ENGINE, ident, request)
    for hours in (25, 50, 73):  # a reminder; another one, and the escalation; the deadline
        assert await run_service(tmp_path, hours, moment) == -signal.SIGKILL
        assert await run_service(tmp_path, hours, "never") == 0
    async with opened(read_only=True) as engine:
        counts = Counter(type(event) for event in await events_of(engine, ident))
        served = Counter(type(event) for event in await events_of(engine, SERVICE_ID))
        assert (await engine.approvals.get(ident)).status is ApprovalStatus.EXPIRED
    assert (counts[ReminderSent], counts[ApprovalEscalated], counts[ApprovalExpired]) == (2, 1, 1)
    assert (served[ServiceStarted], served[ServiceStopped]) == (6, 3)
