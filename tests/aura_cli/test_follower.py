"""A task is followed to its end, whatever the store does meanwhile."""

from contextlib import aclosing

import pytest

from aura_cli.rendering.terminal import Terminal
from aura_cli.streaming.follow_options import FollowOptions
from aura_cli.streaming.follower import follow
from aura_contracts.errors import StoreUnavailable
from aura_engine.facade.watch import Watch
from engines import opened, repository, scripted

__all__ = ["opened", "repository"]

pytestmark = pytest.mark.anyio


@pytest.mark.deep_but_first
async def test_an_outage_of_the_store_is_waited_out(opened, repository, tmp_path, monkeypatch):
    whole, outages = Watch.follow, []

    async def interrupted(self, after, **options):
        async with aclosing(whole(self, after, **options)) as records:
            async for record in records:
                yield record
                if len(outages) < 2 and record.event.topic != "task.created":
                    outages.append(after)
                    raise StoreUnavailable(store="the store", reason="away", waited=10.0, attempts=3)

    monkeypatch.setattr(Watch, "follow", interrupted)
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        async with opened() as engine:
            run = await engine.run("Say", repositories=[str(repository)], **scripted([{"print": "once"}]))
            assert await follow(engine, run, Terminal(out, err), FollowOptions()) == 0
    assert outages[1] > outages[0], "it goes on after what was printed"
    assert (tmp_path / "out").read_text().count("once") == 1
    assert "waiting for the store: the store did not answer for 10.0 s" in (tmp_path / "err").read_text()
