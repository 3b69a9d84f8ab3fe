"""What an embedding program writes: both checkers accept every line of it."""

from datetime import UTC, datetime

from aura_engine import (
    AggregateNotFound,
    Approval,
    ApprovalStatus,
    Engine,
    EventRecord,
    RunFailed,
    Task,
    TaskCompleted,
    TaskId,
    TaskStatus,
    open_engine,
    open_engine_sync,
)


async def fix(engine: Engine, prompt: str) -> TaskId:
    run = await engine.run(prompt, executor="claude", approval="both", repositories=["."], timeout=60, key="fix")
    after = await engine.run("Then test it", executor="codex", after=[run], allow=["Bash(pytest *)"])
    async for question in run.questions():
        call = question.tool_call
        if call is not None and call.tool == "Bash":
            await engine.approvals.reject(question.id, "not here")
        else:
            await engine.approvals.approve(question.id, remember="session")
    try:
        task: Task = await run.result()
    except RunFailed as error:
        print(error.failure.reason, error.code)
        return after.id
    assert task.status is TaskStatus.COMPLETED
    return task.id


def completed(record: EventRecord[TaskCompleted]) -> None:
    print(record.position, record.event.result)


async def inbox(engine: Engine) -> list[Approval]:
    subscription = engine.on(TaskCompleted, completed, name="mail")
    page = await engine.approvals.list(
        pending=True, awaiting=engine.user, requested_after=datetime(2026, 1, 4, tzinfo=UTC)
    )
    subscription.cancel()
    return [approval for approval in page.rows if approval.status is ApprovalStatus.PENDING]


async def main() -> None:
    async with open_engine("sqlite:///aura.db", user="alice", drive_all=True) as engine:
        await fix(engine, "Fix the login")
        await inbox(engine)
        try:
            task = await engine.tasks.get("3f2a")
        except AggregateNotFound:
            return
        data: dict[str, object] = task.as_dict()
        print(data)


def blocking() -> str:
    with open_engine_sync("sqlite:///aura.db") as engine:
        subscription = engine.on(TaskCompleted, completed)
        run = engine.run("Fix the login", executor="claude")
        subscription.cancel()
        for question in run.questions():
            engine.approvals.approve(question.id)
        return run.result().title
