"""What these tests share: a clock that is set, engines that obey it, a repository to work in, and a site for kills."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from complaint_site import WorkflowCommands

from aura_engine.clockwork import wall_clock
from aura_engine.host import Host
from sites import made_site

START = datetime(2026, 1, 4, 12, tzinfo=UTC)


class SetClock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def passes(self, **duration):
        self.now += timedelta(**duration)


@pytest.fixture(autouse=True)
def in_repository(repository, monkeypatch):
    """Steps without a repository of their own work on that of the current folder."""
    monkeypatch.chdir(repository)


@pytest.fixture
def time(monkeypatch):
    """A clock that is set, and drivers that look at it all the time."""
    monkeypatch.setattr(wall_clock, "CLOCK_CHECK", 0.01)
    monkeypatch.setattr(wall_clock, "HOLD", 0.0)
    return SetClock()


@pytest.fixture
def timed(opened, time):
    """Opens engines that live by the clock that is set."""
    return partial(opened, host=Host(clock=time))


@pytest.fixture
def here(repository):
    """The folder of the witness; the repository in it is the current folder."""
    return repository.parent


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    root.mkdir()
    with made_site(root, kind=WorkflowCommands) as site:
        site.grace = 1.0
        yield site
