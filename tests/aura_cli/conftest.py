"""A log with a story in it, for tests of commands that read."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from scenario import AURA, Story, play

from agents_at_work import bus_on
from aura_engine.host import new_ids, now
from aura_store import open_log
from aura_store.audit import checkpoint
from command_line import call_aura, move_to


@pytest.fixture(scope="session")
def told(tmp_path_factory) -> Path:
    """The file of a log that `scenario` was played on. Copy it, or only read it."""
    path = tmp_path_factory.mktemp("told") / "aura.db"
    anyio.run(_play, f"sqlite:///{path}")
    return path


async def _play(url: str) -> None:
    async with open_log(url) as log:
        await play(Story(bus_on(log), lambda _: None))
        await checkpoint(log, actor=AURA, clock=now, command_id=new_ids()())


@pytest.fixture
def store(told: Path, tmp_path: Path) -> str:
    """The URL of a log of one's own with that story."""
    path = tmp_path / "aura.db"
    path.write_bytes(told.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def tasks(store: str) -> list[str]:
    """The ids of the story's tasks: the whole, the search, the test."""
    rows = call_aura("replay", "--json", "--store", store).objects
    return [row["id"] for row in rows if row["aggregate"] == "task"]


@pytest.fixture
def change_log(store: str) -> Callable[[str], None]:
    """Do something to `store` behind AURA's back."""

    def change(statement: str) -> None:
        with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)

    return change


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, in which ``aura`` is called with a store and a home of its own."""
    return move_to(tmp_path, monkeypatch)
