"""Counting what a program asks of SQLite, statement by statement, through the driver's own trace."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import attrs


@attrs.define
class Counts:
    """What was sent to SQLite, file by file (by the name of the file, ``:memory:`` for none)."""

    statements: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """(File, first word of the statement) -> how often."""
    commits: Counter[str] = attrs.field(factory=Counter)
    """File -> commits that ended a transaction which wrote something."""

    def reads(self, file: str = "") -> int:
        """Return how many SELECTs there were, in files whose name ends with `file`."""
        return sum(n for (name, word), n in self.statements.items() if word in _READS and name.endswith(file))

    def commits_of(self, file: str = "") -> int:
        """Return how many commits there were in files whose name ends with `file`."""
        return sum(n for name, n in self.commits.items() if name.endswith(file))


_READS = ("SELECT", "WITH")
_WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP")


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what every connection to SQLite that is opened inside sends."""
    counts = Counts()
    connect = sqlite3.connect

    def counted(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(database, *arguments, **options)
        connection.set_trace_callback(_tracer(counts, str(database).partition("?")[0]))
        return connection

    with mock.patch("sqlite3.connect", counted):
        yield counts


def _tracer(counts: Counts, file: str) -> Any:
    wrote = False

    def trace(statement: str) -> None:
        nonlocal wrote
        word = statement.lstrip().partition(" ")[0].rstrip(";").upper()
        if statement.startswith("--"):  # a statement inside a trigger or virtual table
            return
        counts.statements[file, word] += 1
        if word in _WRITES:
            wrote = True
        elif word in ("COMMIT", "ROLLBACK"):
            counts.commits[file] += wrote and word == "COMMIT"
            wrote = False

    return trace
