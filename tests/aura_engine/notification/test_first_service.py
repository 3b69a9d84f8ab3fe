"""The first service of a store tells people of what was overdue when it began, and of nothing that happened before."""

from datetime import timedelta
from pathlib import Path

import pytest

from conditions import until
from notify_bench import Bench, ask, fail

pytestmark = pytest.mark.anyio


async def test_a_reminder_that_was_overdue_reaches_its_person(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.settings("channels: {log: {file: {path: told.jsonl}}}\npeople: {alice: {channels: {log: }}}\n")
    async with bench.engine(record_only=False) as engine:
        await ask(engine, "alice", remind_after=3600.0)
        await fail(engine, "before")
        bench.now += timedelta(hours=2)
        service = engine.serve()
        await service.started()
        await until(bench.told)
        await service.stop()
    assert [one.kind for one in bench.told()] == ["reminder"]
