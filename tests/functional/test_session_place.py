"""Sessions of agents that work only where they began: such an agent never works in the folder of another task."""

import pytest

from aura_contracts.entries import SessionStarted
from aura_contracts.errors import SessionElsewhere
from aura_contracts.execution import ConversationReplayed, SessionDropped
from aura_contracts.ports.executors import Capability, Conversation, Executor, Launch
from aura_contracts.task import TaskStatus
from engines import events_of, settled

pytestmark = pytest.mark.anyio


class _Bound(Executor):
    """Resumes sessions in their own folder; `asked` is what it was to resume, and whether elsewhere."""

    name = "bound"
    capability = Capability(resume=True)

    def __init__(self):
        self.asked = []

    def launch(self, run):
        if run.new_session_id:  # otherwise only its options are checked
            self.asked.append((run.session_id, run.elsewhere))
        if run.elsewhere:
            raise SessionElsewhere(session=run.session_id, executor=self.name)
        return Launch(argv=("sh", "-c", "echo x >> work.txt; echo begun"))

    def converse(self, run):
        session = run.session_id or f"session of {run.cwd}"

        class Named(Conversation):
            def receive(self, source, data):
                return (SessionStarted(session_id=session),)

        return Named()


@pytest.fixture
def agent():
    return _Bound()


async def run(engine, repository, prompt, **more):
    request = {"repositories": [str(repository)], "executor": "bound", "approval": "auto", **more}
    task = await engine.run(prompt, **request)
    assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED
    execution = (await engine.tasks.view(task.id)).execution
    return execution.session_id, await events_of(engine, execution.id)


@pytest.mark.deep
async def test_in_the_worktree_of_another_task_it_is_told_again(opened, repository, agent):
    async with opened(executors=[agent]) as engine:
        first, _ = await run(engine, repository, "Do it")
        second, events = await run(engine, repository, "Do more", resume_latest=True)
    assert agent.asked == [(None, False), (first, True), (None, False)]
    assert first != second
    (dropped,) = (event for event in events if isinstance(event, SessionDropped))
    (replayed,) = (event for event in events if isinstance(event, ConversationReplayed))
    assert dropped.session_id == first
    assert "Do it" in replayed.prompt


async def test_a_follow_up_resumes_it(opened, repository, agent):
    async with opened(executors=[agent]) as engine:
        task = await engine.run("Do it", repositories=[str(repository)], executor="bound")
        await settled(engine, task.id)
        await engine.approvals.reject(task.id, feedback="more")
        await settled(engine, task.id)
        session = (await engine.tasks.view(task.id)).execution.session_id
    assert agent.asked == [(None, False), (session, False)]


@pytest.mark.deep
async def test_in_the_users_own_folder_it_resumes_what_began_there(opened, repository, agent):
    async with opened(executors=[agent]) as engine:
        await run(engine, repository, "Do it", session_id="by hand")
        await run(engine, repository, "Do more", session_id="another by hand", in_place=True)
        await run(engine, repository, "Do the rest", session_id="another by hand", in_place=True)
    assert agent.asked == [("by hand", True), (None, False), *[("another by hand", False)] * 2]
