"""A store, a home, and a channel that writes to a file, for tests of notifications."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.approval import ApprovalKind, Question
from aura_contracts.approval.commands import RequestApproval
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.notification import OutgoingMessage
from aura_contracts.task.commands import FailTask
from aura_engine import Engine, Host, open_engine


@attrs.define
class Bench:
    """A store and a home, with a clock that tests move."""

    folder: Path
    now: datetime = datetime(2026, 3, 2, 12, tzinfo=UTC)
    store: str = ""
    """By default a file in the folder."""

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def settings(self, text: str) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / "notifications.yaml").write_text(text)

    @asynccontextmanager
    async def engine(self, **options: Any) -> AsyncIterator[Engine]:
        host = Host(clock=lambda: self.now, environment={"PASSWORD": "letmein", "PATH": "/usr/bin:/bin"})
        given = {"home": self.home, "user": "alice", "record_only": True, "host": host, **options}
        async with open_engine(self.store or f"sqlite:///{self.folder / 'aura.db'}", **given) as engine:
            yield engine

    def told(self) -> list[OutgoingMessage]:
        """What the file channel was told."""
        path = self.home / "told.jsonl"
        return (
            [OutgoingMessage.from_dict(json.loads(line)) for line in path.read_text().splitlines()]
            if path.exists()
            else []
        )


FILE = "channels: {log: {file: {path: told.jsonl}, per_minute: 3}}\n"


async def ask(engine: Engine, *reviewers: str, **fields: Any) -> str:
    core = engine._core
    task = await engine.tasks.create("the login")
    asked = {"kind": ApprovalKind.PLAN, "task_id": task.id, "proposed_solution": "Do it."}
    question = Question(reviewers=reviewers, **asked, **fields)
    ident = core.bus.new_id()
    await core.bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=question))
    return ident


async def fail(engine: Engine, title: str) -> str:
    task = await engine.tasks.create(title)
    failure = Failure(FailureReason.AGENT_ERROR, "it broke")
    await engine._core.bus.handle(ENGINE, task.id, FailTask(failure=failure))
    return task.id
