"""A notifier that ends, and one that waits: while the store is away, too."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from aura_contracts.errors import StoreUnavailable
from aura_contracts.events import Append
from aura_engine.notification import notifier
from aura_engine.notification.notifier import LOCK
from notify_bench import FILE, Bench, fail

pytestmark = pytest.mark.anyio


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.settings(FILE + "people: {alice: {channels: {log: }}}")
    return bench


@pytest.mark.deep_but_first
@pytest.mark.parametrize("back", [True, False], ids=["the store is back", "the store stays away"])
async def test_one_that_is_cancelled_before_it_has_recorded_what_it_sent_tries_once_more_but_not_for_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    monkeypatch.setattr(notifier, "PARTING", 60.0 if back else 0.01)
    async with bench.engine() as engine, bench.engine() as other:
        await engine.notifications.deliver()
        log, append = type(engine._core.log), type(engine._core.log).append
        waits = anyio.Event()

        async def hangs(self: Any, *appends: Append) -> int:
            if "NotificationSent" in str(appends) and not (back and waits.is_set()):
                waits.set()
                await anyio.sleep_forever()
            return await append(self, *appends)

        async def never(*_: object) -> None:
            await anyio.sleep_forever()

        monkeypatch.setattr(log, "append", hangs)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.notifications.serve)
            await fail(engine, "one")
            await waits.wait()
            if not back:
                monkeypatch.setattr(log, "save_cursor", never)
            group.cancel_scope.cancel()
        monkeypatch.undo()
        assert not await other._core.locks.held_elsewhere(LOCK)
        await other.notifications.deliver()
    assert len(bench.told()) == (1 if back else 2)
    assert len({one.key for one in bench.told()}) == 1


@pytest.mark.parametrize("storm", [True, False])
async def test_in_a_storm_pauses_last_as_long_as_the_reading_and_not_as_an_outage_before_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, storm: bool
) -> None:
    """The clock that no one sets is moved by what the test says things take."""
    monkeypatch.setattr(notifier, "PAGE", 1)
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        for number in range(5):
            await fail(engine, f"{number}")
        one = await engine.notifications._notifier()
        one._page = 1
        clock: list[float] = [0.0]
        pauses: list[float] = []
        takes = iter((30.0, 0.02, 0.2, 5.0))
        page, head, log = type(engine._core.log).page, type(engine._core.log).head, type(engine._core.log)
        done, grown = anyio.Event(), [0]

        async def read(self: Any, *args: Any, **options: Any) -> Any:
            if len(pauses) == 4:
                done.set()
                await anyio.sleep_forever()
            pauses.append(0.0)
            clock[0] += next(takes)
            if len(pauses) == 1:
                raise StoreUnavailable(store="s", reason="gone", waited=1.0, attempts=1)
            return await page(self, *args, **options)

        async def grows(self: Any) -> int:
            grown[0] += notifier.STORM if storm else notifier.STORM - 1
            return await head(self) + grown[0]

        async def sleep(seconds: float) -> None:
            clock[0] += seconds
            pauses[-1] = round(pauses[-1] + seconds, 3)

        await one._restore()
        monkeypatch.setattr(log, "page", read)
        monkeypatch.setattr(log, "head", grows)
        given = {**vars(anyio), "current_time": lambda: clock[0], "sleep": sleep}
        monkeypatch.setattr(notifier, "anyio", SimpleNamespace(**given))
        async with anyio.create_task_group() as group:
            group.start_soon(one._follow)
            await done.wait()
            group.cancel_scope.cancel()
        monkeypatch.undo()
    in_storm = [notifier.STORM_PAUSE, 0.2 * notifier.SHARE, notifier.LONGEST_PAUSE]
    assert pauses == [notifier.RETRY_PAUSE, *(in_storm if storm else [notifier.LOOK_PAUSE] * 3)]
