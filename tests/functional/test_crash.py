"""Processes and servers killed at any moment: what was acknowledged is there, once, in order, and sealed.

A real process appends and reports what was acknowledged; `kill -9` ends it somewhere in the middle, again and again on
the same store. ``AURA_KILLS=200`` kills that many processes for each store; the ordinary run, fifteen.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import attrs
import psycopg
import pytest
from crash_writer import digest

from aura_contracts.events import EventRecord, SealedRow
from aura_store import open_log
from aura_store.audit import verify
from aura_store.testing.log_conformance import digest_of
from databases import PostgresServer, new_schema

KILLS = int(os.environ.get("AURA_KILLS", "15"))
WRITER = Path(__file__).parent / "crash_writer.py"
BACKENDS = ("asyncio", "trio")


class Writer:
    """A running `crash_writer.py`, and everything it has said."""

    def __init__(self, url: str, run: int) -> None:
        command = [sys.executable, WRITER, url, str(run), BACKENDS[run % 2]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said: list[tuple[str, int, str]] = []
        assert self._line() == "begin\n"

    def _line(self) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        if not line and self.process.poll() != -signal.SIGKILL:
            raise AssertionError(f"the writer ended by itself: {self.process.stderr.read()}")
        return line

    def hear(self, lines: int) -> None:
        """Wait until so many more events were acknowledged."""
        for _ in range(lines):
            self._note(self._line())

    def _note(self, line: str) -> None:
        stream, version, text = line.split()
        self.said.append((stream, int(version), text))

    def kill(self) -> None:
        """Kill it, and hear what it still had said."""
        assert self.process.stdout is not None
        self.process.kill()
        for line in self.process.stdout:
            self._note(line)
        assert self.process.wait() == -signal.SIGKILL
        self.process.stdout.close()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def writing(url: str, run: int) -> Iterator[Writer]:
    writer = Writer(url, run)
    try:
        yield writer
    finally:
        writer.kill()


@attrs.define
class Witness:
    """Reads the log after every kill, from where it had read before, and compares it with what was said."""

    url: str
    head: int = 0
    tips: dict[str, tuple[int, bytes]] = attrs.field(factory=dict)
    texts: dict[tuple[str, int], str] = attrs.field(factory=dict)
    known: set[str] = attrs.field(factory=set)
    acknowledged: int = 0

    def check(self, said: list[tuple[str, int, str]], backend: str = "asyncio") -> None:
        """Read what is new; assert that it is sealed, without gaps or doubles, and that all of `said` is there."""
        anyio.run(self._read, backend=backend)
        for stream, version, text in said:
            assert self.texts.get((stream, version)) == text, f"acknowledged and lost: {stream} version {version}"
        assert len({(stream, version) for stream, version, _ in said}) == len(said), "acknowledged twice"
        self.acknowledged += len(said)

    async def _read(self) -> None:
        async with open_log(self.url) as log:
            while rows := await log.sealed_page(self.head):
                records = await log.page(self.head)
                for row, record in zip(rows, records, strict=True):
                    self._see(row, record)
            assert await log.head() == self.head

    def _see(self, row: SealedRow, record: EventRecord) -> None:
        version, before = self.tips.get(row.stream_id, (0, bytes(32)))
        assert (row.position, row.version) == (self.head + 1, version + 1)
        assert bytes(row.previous) == before
        assert bytes(row.digest) == digest_of(row)
        text = record.event.reason
        assert text not in self.known, f"stored twice: {text}"
        self.known.add(text)
        self.texts[row.stream_id, row.version] = digest(text)
        self.tips[row.stream_id] = row.version, bytes(row.digest)
        self.head = row.position

    def check_everything(self) -> None:
        async def audit() -> None:
            async with open_log(self.url) as log:
                report = await verify(log)
                assert report.first_bad is None
                assert report.events == self.head

        anyio.run(audit)


def kill_writers(url: str, kills: int) -> Witness:
    """Start a writer, kill it after a random number of events, and look; so many times on the same store."""
    dice = random.Random(kills)
    witness = Witness(url)
    for run in range(kills):
        with writing(url, run) as writer:
            writer.hear(dice.choice([0, 0, 1, 5, 20, 50, 100]) + dice.randrange(20) * (run % 4 != 0))
        witness.check(writer.said, BACKENDS[run // 2 % 2])
    witness.check_everything()
    print(f"\n{kills} kills, {witness.acknowledged} events acknowledged, {witness.head} stored")  # noqa: T201 - the figures, with `pytest -s`
    return witness


def test_killed_writers_lose_nothing_on_sqlite(tmp_path: Path) -> None:
    witness = kill_writers(f"sqlite:///{tmp_path}/log.db", KILLS)
    assert witness.acknowledged > 0


@pytest.mark.deep
def test_killed_writers_lose_nothing_on_postgres(postgres: PostgresServer) -> None:
    witness = kill_writers(new_schema(postgres), KILLS)
    assert witness.acknowledged > 0


@pytest.mark.deep
def test_a_killed_server_process_loses_nothing(restartable_postgres: PostgresServer) -> None:
    """The backend that serves the writer is killed: the server ends all connections, recovers, the writer goes on."""
    server = restartable_postgres
    url = new_schema(server)
    dice = random.Random(1)
    witness = Witness(url)
    kills = 0
    with writing(url, 0) as writer:
        for _ in range(max(2, KILLS // 5)):
            writer.hear(10 + dice.randrange(100))
            kills += kill_backend(server, dice)
            until(lambda: answers(server))
            writer.hear(100)  # more than were on their way: it goes on
    assert kills > 0
    witness.check(writer.said)
    witness.check_everything()
    print(f"\n{kills} server processes killed, {witness.acknowledged} events acknowledged, {witness.head} stored")  # noqa: T201 - the figures, with `pytest -s`


@pytest.mark.deep
def test_a_killed_server_loses_nothing(restartable_postgres: PostgresServer) -> None:
    """The postmaster itself is killed, and started again; the writer has noticed a long pause."""
    server = restartable_postgres
    url = new_schema(server)
    witness = Witness(url)
    with writing(url, 0) as writer:
        writer.hear(100)
        postmaster = int((server.folder / "postmaster.pid").read_text().split()[0])
        family = [postmaster, *(pid for (pid,) in server.execute("SELECT pid FROM pg_stat_activity"))]
        os.kill(postmaster, signal.SIGKILL)
        until(lambda: not any(map(alive, family)))
        until(lambda: started(server))
        writer.hear(1000)  # more than were on their way when it happened
    witness.check(writer.said)
    witness.check_everything()


def kill_backend(server: PostgresServer, dice: random.Random) -> int:
    """Kill one of the processes that serve clients; return how many were killed: it may end before."""
    statement = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    pids = [pid for (pid,) in server.execute(statement)]
    with suppress(ProcessLookupError, IndexError):
        os.kill(dice.choice(pids), signal.SIGKILL)
        return 1
    return 0


def answers(server: PostgresServer) -> bool:
    """Whether the server is up, and not recovering."""
    try:
        server.execute("SELECT")
    except psycopg.OperationalError:
        return False
    return True


def started(server: PostgresServer) -> bool:
    """Try to start it: it refuses while processes of the killed one are still ending."""
    try:
        server.start()
    except subprocess.CalledProcessError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
