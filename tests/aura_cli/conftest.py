"""A log with a story in it, for tests of commands that read."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from command_line import call_aura


@pytest.fixture(scope="session")
def told(tmp_path_factory) -> Path:
    """The file of a log that ``aura demo`` has written. Copy it, or only read it."""
    path = tmp_path_factory.mktemp("told") / "aura.db"
    answer = call_aura("demo", "--store", f"sqlite:///{path}", "--quiet")
    assert answer.code == 0, answer.err
    return path


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
