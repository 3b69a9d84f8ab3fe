"""Tampering: whatever is done to a log behind AURA's back, ``aura audit verify`` names the first bad event."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aura_contracts.actors import human
from aura_contracts.events import Append, Event, Fact
from aura_contracts.ids import TaskId
from aura_contracts.ports import EventLog
from aura_contracts.task import TaskChanges, TaskCreated, TaskEdited, TaskSpec
from aura_store import open_log
from aura_store.audit import checkpoint, verify
from aura_store.log._seal import seal
from command_line import Answer, call_aura, run_aura
from sqlite_cells import spans

TASKS = [TaskId(f"0192f0c1-2d3e-7abc-8def-{n:012x}") for n in range(3)]
EVENTS = 60
BEGINNING = datetime(2026, 1, 4, 10, tzinfo=UTC)
POSITIONS = pytest.mark.parametrize("position", [1, 30, EVENTS], ids=["first", "middle", "last"])
COLUMNS = ("originator_id", "originator_version", "topic", "state", "previous", "digest")


def events() -> Iterator[tuple[TaskId, int, Event]]:
    """The events of three tasks, taking turns; one is so large that it takes several pages of the file."""
    for n in range(EVENTS):
        task, version = TASKS[n % 3], n // 3
        text = "long " * 3000 if n == 40 else f"as of change {n}"
        event = (
            TaskEdited(changes=TaskChanges(description=text))
            if version
            else TaskCreated(task_id=task, spec=TaskSpec(title=f"Task {n}"))
        )
        yield task, version, event


async def write(log: EventLog) -> None:
    for n, (task, version, event) in enumerate(events()):
        fact = Fact(event, BEGINNING + timedelta(seconds=n), human("alice"), "c", "c")
        await log.append(Append(task, version, (fact,)))


async def write_file(path: Path) -> None:
    async with open_log(f"sqlite:///{path}") as log:
        await write(log)
        await checkpoint(log, actor=human("alice"), clock=lambda: BEGINNING, command_id="c")


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A log of `EVENTS` events and a checkpoint, closed. Copy it."""
    path = tmp_path_factory.mktemp("log") / "aura.db"
    anyio.run(write_file, path)
    assert not path.with_name("aura.db-wal").exists()
    return path


@pytest.fixture(scope="module")
def root(original) -> str:
    """The checkpoint of `original`, as somebody kept it."""
    ledger = call_aura("replay", "--json", "--stream", "00000000", "--store", f"sqlite:///{original}").objects[0]
    return ledger["state"]["last_root"]


@pytest.fixture
def log(original, tmp_path) -> Path:
    """A log of one's own."""
    path = tmp_path / "aura.db"
    path.write_bytes(original.read_bytes())
    return path


def change(path: Path, *statements: str) -> None:
    """Do something to a database behind AURA's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)


def audit(path: Path, *arguments: str) -> Answer:
    return call_aura("audit", "verify", "--json", "--store", f"sqlite:///{path}", *arguments)


def assert_found(answer: Answer, position: int) -> None:
    """The audit failed, and the first bad event it names is the one at `position`."""
    assert answer.code == 1
    assert answer.error["code"] == "log_damaged"
    assert answer.error["facts"]["position"] == position, answer.err


def flipped(column: str) -> str:
    """An expression for `column` with one byte changed."""
    if column == "originator_version":
        return "originator_version + 64"
    if column in ("originator_id", "topic"):
        return f"replace({column}, substr({column}, 5, 1), char(unicode(substr({column}, 5, 1)) + 1))"
    middle = f"length({column}) / 2"
    byte = f"substr({column}, {middle}, 1)"
    return (
        f"CAST(substr({column}, 1, {middle} - 1) || CASE {byte} WHEN x'2A' THEN x'2B' ELSE x'2A' END"
        f" || substr({column}, {middle} + 1) AS BLOB)"
    )


def test_an_untouched_log_is_sound(log, root):
    answer = audit(log, "--root", f"{EVENTS}={root}")
    assert answer.code == 0
    assert answer.err == ""
    (report,) = answer.objects
    assert (report["status"], report["events"], report["checkpoints"]) == ("sound", EVENTS + 1, 1)


# --- One thing changed ------------------------------------------------------------------------------------------------


@POSITIONS
@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_byte_is_found(log, column, position):
    change(log, f"UPDATE stored_events SET {column} = {flipped(column)} WHERE rowid = {position}")
    assert_found(audit(log), position)


@pytest.mark.deep_but_first
@POSITIONS
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", ["''", "x''", "NULL", "-1", "9e300", "x'FF00'", "9223372036854775807"])
def test_a_value_of_another_type_is_found(log, column, position, value):
    change(
        log,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'stored_events'",
        "PRAGMA writable_schema = RESET",
    )
    change(log, f"UPDATE stored_events SET {column} = {value} WHERE rowid = {position}")
    change(
        log,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(replace(replace(sql, ' TEXT', ' TEXT NOT NULL'), ' BLOB',"
        " ' BLOB NOT NULL'), 'version INTEGER', 'version INTEGER NOT NULL') WHERE name = 'stored_events'",
        "PRAGMA writable_schema = RESET",
    )
    assert_found(audit(log), position)


def test_a_changed_checkpoint_is_found_rather_than_what_it_vouches_for(log):
    at = EVENTS + 1
    change(log, f"UPDATE stored_events SET state = replace(state, '\"upto\":60', '\"upto\":10') WHERE rowid = {at}")
    change(log, f"UPDATE stored_events SET state = CAST(state AS BLOB) WHERE rowid = {at}")
    assert_found(audit(log), at)


@POSITIONS
def test_a_removed_event_is_found(log, position):
    change(log, f"DELETE FROM stored_events WHERE rowid = {position}")
    assert_found(audit(log), position)


@pytest.mark.parametrize(("one", "other"), [(10, 13), (10, 11), (1, EVENTS), (1, 2), (EVENTS - 1, EVENTS)])
@pytest.mark.parametrize("columns", [("state",), ("topic", "state"), ("topic", "state", "previous", "digest")])
def test_swapped_contents_are_found(log, one, other, columns):
    """10 and 13 are events of the same task, 10 and 11 of different ones."""
    swap = ", ".join(
        f"{column} = (SELECT {column} FROM was WHERE rowid = CASE stored_events.rowid WHEN {one} THEN {other}"
        f" ELSE {one} END)"
        for column in columns
    )
    change(
        log,
        "CREATE TEMP TABLE was AS SELECT rowid AS rowid, * FROM stored_events",
        f"UPDATE stored_events SET {swap} WHERE rowid IN ({one}, {other})",
    )
    assert_found(audit(log), one)


@pytest.mark.parametrize(("one", "other"), [(10, 13), (10, 11), (1, EVENTS)])
def test_swapped_positions_are_found(log, one, other):
    change(
        log,
        f"UPDATE stored_events SET rowid = -1 WHERE rowid = {one}",
        f"UPDATE stored_events SET rowid = {one} WHERE rowid = {other}",
        f"UPDATE stored_events SET rowid = {other} WHERE rowid = -1",
    )
    assert_found(audit(log), one)


@pytest.mark.parametrize("one", [1, 30])
def test_an_event_moved_behind_the_next_of_another_task_is_found(log, one):
    change(
        log,
        f"UPDATE stored_events SET rowid = 1000 WHERE rowid = {one}",
        f"UPDATE stored_events SET rowid = {one} WHERE rowid = {one + 1}",
        f"UPDATE stored_events SET rowid = {one + 1} WHERE rowid = 1000",
    )
    assert_found(audit(log), one)


# --- The end of the log -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 1, 30, EVENTS - 1])
def test_a_missing_end_is_found(log, left):
    change(log, f"DELETE FROM stored_events WHERE rowid > {left}")
    assert_found(audit(log), left + 1)


@pytest.mark.parametrize("left", [0, 1, 30, EVENTS - 1])
def test_a_missing_end_that_was_covered_up_is_found_by_a_kept_checkpoint(log, left, root):
    change(log, f"DELETE FROM stored_events WHERE rowid > {left}", f"UPDATE log_head SET position = {left}")
    assert_found(audit(log, "--root", f"{EVENTS}={root}"), left + 1)


@pytest.mark.parametrize("left", [0, 1, 30, EVENTS])
def test_events_behind_the_head_are_found(log, left):
    change(log, f"UPDATE log_head SET position = {left}")
    assert_found(audit(log), left + 1)


def test_an_invented_event_is_found(log):
    """Somebody adds an event who knows the tables but not the seals."""
    at = EVENTS + 2
    change(
        log,
        f"INSERT INTO stored_events SELECT {at}, originator_id, originator_version + 1, topic, state, digest, digest"
        f" FROM stored_events WHERE rowid = {EVENTS}",
        f"UPDATE log_head SET position = {at}",
    )
    assert_found(audit(log), at)


@pytest.mark.parametrize("at", [0, -5])
def test_an_event_before_the_beginning_is_found(log, at):
    """No reader of the log would see it, but whoever loads the task would."""
    change(
        log,
        f"INSERT INTO stored_events SELECT {at}, originator_id, originator_version + 1, topic, state, digest, digest"
        f" FROM stored_events WHERE rowid = {EVENTS}",
    )
    answer = audit(log)
    assert_found(answer, at)
    assert "before the beginning" in answer.error["message"]


def test_an_event_moved_before_the_beginning_is_missed(log):
    change(log, "UPDATE stored_events SET rowid = -1 WHERE rowid = 30")
    assert_found(audit(log), 30)


def test_a_log_rewritten_with_all_its_seals_is_found_by_its_checkpoint(log):
    """Somebody who knows how seals are made changes an event and seals everything anew: the root still differs."""
    reseal(log)
    answer = audit(log)
    assert_found(answer, EVENTS)
    assert "rewritten" in answer.error["message"]


def test_a_log_rewritten_with_its_checkpoints_is_found_by_a_kept_one(log, root):
    change(log, f"DELETE FROM stored_events WHERE rowid > {EVENTS}", f"UPDATE log_head SET position = {EVENTS}")
    reseal(log)
    assert audit(log).code == 0
    assert_found(audit(log, "--root", f"{EVENTS}={root}"), EVENTS)


def reseal(path: Path) -> None:
    """Change what the fifth event says, and compute all seals anew."""
    change(path, "UPDATE stored_events SET state = replace(state, 'change', 'CHANGE') WHERE rowid = 5")
    change(path, "UPDATE stored_events SET state = CAST(state AS BLOB) WHERE rowid = 5")
    with closing(sqlite3.connect(path)) as connection, connection:
        tips: dict[str, bytes] = {}
        for row in connection.execute("SELECT * FROM stored_events ORDER BY rowid").fetchall():
            position, stream, version, topic, state, *_ = row
            previous = tips.get(stream, bytes(32))
            digest = tips[stream] = seal(previous, position, version, stream, topic, state)
            connection.execute(
                "UPDATE stored_events SET previous = ?, digest = ? WHERE rowid = ?", (previous, digest, position)
            )


# --- The bytes of the file --------------------------------------------------------------------------------------------


def rows_of(path: Path) -> object:
    """What the table of events says, or the error that reading it ends with."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT * FROM stored_events ORDER BY rowid").fetchall()
    except (sqlite3.Error, MemoryError) as error:
        return repr(error)


@pytest.mark.deep
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 7))
@example(0, 0, 0)
@example(0, 1, 7)
@example(39, 1, 0)
@example(40, 5, 7)
@example(63, 89, 0)  # the root in the checkpoint itself
def test_a_flipped_bit_of_the_file_is_found(original, row, offset, bit):
    """Wherever in the bytes of an event it is, its SQLite framing included."""
    cells = spans(original, "stored_events")
    span = cells[row % len(cells)]
    data = bytearray(original.read_bytes())
    data[span.start + offset % span.length] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aura.db"
        path.write_bytes(data)
        unchanged = rows_of(path) == rows_of(original)
        answer = audit(path)
    if unchanged:  # a bit that means nothing to SQLite, or only to its check of the file
        assert answer.code == 0 or answer.error["facts"]["position"] == 0
    else:
        assert_found(answer, span.rowid)


# --- The command ------------------------------------------------------------------------------------------------------


def test_people_are_told_what_is_wrong_and_what_to_do(log):
    change(log, "UPDATE stored_events SET state = x'5B5D' WHERE rowid = 30")
    answer = run_aura("audit", "verify", "--store", f"sqlite:///{log}")
    assert answer.code == 1
    assert answer.out == ""
    assert f"error[log_damaged]: position 30, stream {TASKS[2]}: " in answer.err
    assert "altered or moved" in answer.err
    assert "hint: keep the file as it is" in answer.err
    assert "Traceback" not in answer.err


def test_programs_are_told_on_both_streams(log):
    change(log, "DELETE FROM stored_events WHERE rowid = 30")
    answer = run_aura("audit", "verify", "--json", "--store", f"sqlite:///{log}")
    assert answer.code == 1
    (report,) = answer.objects
    assert report["status"] == "damaged"
    assert report["first_bad"]["position"] == 30
    assert answer.error["facts"]["position"] == 30


def test_a_damaged_log_gets_no_checkpoint(log):
    change(log, "UPDATE stored_events SET state = x'5B5D' WHERE rowid = 30")
    answer = call_aura("audit", "checkpoint", "--json", "--store", f"sqlite:///{log}")
    assert_found(answer, 30)
    assert answer.out == ""


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

_SWAP = (
    "UPDATE stored_events SET state = was.state FROM stored_events AS was"
    " WHERE (stored_events.notification_id, was.notification_id) IN ((10, {0}), ({0}, 10))"
)
_BYTE = "set_byte({0}, length({0}) / 2, get_byte({0}, length({0}) / 2) # 1)"
_LETTER = "overlay({0} placing 'x' from 5)"
_ROW = "UPDATE stored_events SET {} = {} WHERE notification_id = {}"
_BYTES, _TEXTS = ("state", "previous", "digest"), ("originator_id", "topic")

POSTGRES_TAMPERING = [
    *((_ROW.format(column, _BYTE.format(column), at), at) for column in _BYTES for at in (1, 30, EVENTS)),
    *((_ROW.format(column, _LETTER.format(column), at), at) for column in _TEXTS for at in (1, 30, EVENTS)),
    *((_ROW.format("originator_version", "originator_version + 64", at), at) for at in (1, 30, EVENTS)),
    *((f"DELETE FROM stored_events WHERE notification_id = {at}", at) for at in (1, 30, EVENTS)),
    *((_SWAP.format(other), 10) for other in (11, 13)),
    (_ROW.format("notification_id", "1000 - notification_id", 30), 30),
    (_ROW.format("notification_id", "-notification_id", 30), 30),
    ("INSERT INTO stored_events SELECT originator_id, 99, topic, state, -5, digest, digest FROM was LIMIT 1", -5),
    ("DELETE FROM stored_events WHERE notification_id > 30; UPDATE log_head SET position = 30", 31),
    ("UPDATE log_head SET position = 30", 31),
]


@pytest.mark.deep
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_tampering_with_postgres_is_found(postgres_url):
    """Each in a transaction of its own on one log, undone by putting the table back."""
    async with open_log(postgres_url) as log:
        await write(log)
        kept = await checkpoint(log, actor=human("alice"), clock=lambda: BEGINNING, command_id="c")
        roots = {kept.upto: kept.root}
        assert (await verify(log, roots=roots)).first_bad is None
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE was AS SELECT * FROM stored_events")
            for statement, position in POSTGRES_TAMPERING:
                connection.execute(statement)
                report = await verify(log, roots=roots)
                assert report.first_bad is not None, statement
                assert report.first_bad.position == position, (statement, report.first_bad)
                connection.execute(
                    "TRUNCATE stored_events; INSERT INTO stored_events SELECT * FROM was;"
                    f"UPDATE log_head SET position = {EVENTS + 1}"
                )
        assert (await verify(log, roots=roots)).first_bad is None
