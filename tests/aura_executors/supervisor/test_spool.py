"""The spool: what is written is read, whole and in order, from any record on, while it grows and shrinks."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_executors.supervisor.spool import (
    HEADER,
    RECORDS_PER_READ,
    STDERR,
    STDOUT,
    SpoolReader,
    SpoolWriter,
    delete_acknowledged,
    segment_name,
    segments,
)

records = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.integers(0, 2**62), st.binary(max_size=300)), max_size=25
)
few = settings(max_examples=settings.default.max_examples // 4)  # each makes files


def write(folder: str, content, first: int = 1, segment_size: int = 500, limit: int = 1 << 20) -> SpoolWriter:
    writer = SpoolWriter(folder, first, limit=limit, segment_size=segment_size)
    for record in content:
        writer.append(*record)
    return writer


def read_all(reader: SpoolReader, limit: int = 1000):
    found = []
    while batch := reader.read(limit):
        found += batch
    return found


@few
@given(records, st.integers(1, 2000), st.integers(1, 10**12), st.data())
def test_what_is_written_is_read_from_any_record_on(content, segment_size: int, first: int, data) -> None:
    skipped = data.draw(st.integers(0, len(content)))
    with TemporaryDirectory() as folder:
        write(folder, content, first, segment_size).close()
        reader = SpoolReader(folder, first + skipped)
        assert read_all(reader, data.draw(st.integers(1, 2000))) == content[skipped:]
        assert reader.next == first + len(content)


@few
@given(records, st.integers(1, 2000), st.data())
def test_a_reader_follows_a_writer_that_deletes_what_is_acknowledged(content, segment_size: int, data) -> None:
    with TemporaryDirectory() as folder:
        writer = write(folder, [], segment_size=segment_size)
        reader = SpoolReader(folder, 1)
        found = []
        for record in content:
            writer.append(*record)
            if data.draw(st.booleans()):
                found += read_all(reader)
                writer.acknowledge(reader.next - 1)
                assert len(segments(folder)) <= 1
        assert found + read_all(reader) == content
        writer.close()


@few
@given(records.filter(len), st.data())
def test_a_record_that_is_not_whole_is_not_read(content, data) -> None:
    with TemporaryDirectory() as folder:
        write(folder, content, segment_size=1 << 20).close()
        file = Path(folder, segment_name(1))
        whole = file.read_bytes()
        last = HEADER.size + len(content[-1][2])
        cut = data.draw(st.integers(len(whole) - last, len(whole) - 1))
        rest = data.draw(st.sampled_from([b"", b"\0" * 100]))
        os.truncate(file, cut)
        reader = SpoolReader(folder, 1)
        assert read_all(reader) == content[:-1]
        file.write_bytes(whole[:cut] + (rest if cut == len(whole) - last else b""))
        assert read_all(reader) == []
        file.write_bytes(whole)
        assert read_all(reader) == content[-1:]


def test_a_reader_that_is_late_begins_with_what_is_kept(tmp_path: Path) -> None:
    content = [(STDOUT, n, b"x" * 100) for n in range(10)]
    writer = write(str(tmp_path), content, segment_size=300)
    behind = SpoolReader(str(tmp_path), 1)
    assert len(behind.read(1)) > 0
    writer.acknowledge(6)
    reader = SpoolReader(str(tmp_path), 1)
    found = read_all(reader)
    assert found == content[-len(found) :]
    assert len(content) - 6 <= len(found) < len(content)
    assert read_all(behind) == found
    writer.close()


def test_a_spool_is_full_until_enough_is_acknowledged(tmp_path: Path) -> None:
    writer = write(str(tmp_path), [], limit=10_000)
    while not writer.full:
        writer.append(STDOUT, 0, b"x" * 100)
    assert writer.last * 124 > 10_000
    writer.acknowledge(1)
    writer.acknowledge(writer.last // 2)
    assert not writer.full
    while not writer.full:
        writer.append(STDOUT, 0, b"x" * 100)
    writer.acknowledge(writer.last + 5)
    assert not writer.full
    assert len(segments(str(tmp_path))) == 1
    writer.close()


def test_what_ended_is_acknowledged_without_the_writer(tmp_path: Path) -> None:
    write(str(tmp_path), [(STDOUT, n, b"x" * 100) for n in range(10)], segment_size=300).close()
    assert len(segments(str(tmp_path))) > 2
    delete_acknowledged(str(tmp_path), 5)
    assert [record[1] for record in read_all(SpoolReader(str(tmp_path), 6))] == [5, 6, 7, 8, 9]
    delete_acknowledged(str(tmp_path), 10)
    assert len(segments(str(tmp_path))) == 1


def test_a_batch_of_many_small_records_is_bounded(tmp_path: Path) -> None:
    write(str(tmp_path), [(STDOUT, 0, b"")] * (RECORDS_PER_READ + 1), segment_size=1 << 20).close()
    reader = SpoolReader(str(tmp_path), 1)
    assert [len(reader.read()), len(reader.read()), len(reader.read())] == [RECORDS_PER_READ, 1, 0]


def test_what_cannot_be_written_leaves_what_was_written(tmp_path: Path) -> None:
    writer = write(str(tmp_path), [(STDOUT, 1, b"kept")], segment_size=1 << 20)
    read_only = os.open(tmp_path / segment_name(1), os.O_RDONLY)
    writer._file, kept = read_only, writer._file
    with pytest.raises(OSError):
        writer.append(STDOUT, 2, b"lost")
    os.close(read_only)
    writer._file = kept
    assert writer.last == 1
    writer.append(STDERR, 3, b"again")
    writer.close()
    assert read_all(SpoolReader(str(tmp_path), 1)) == [(STDOUT, 1, b"kept"), (STDERR, 3, b"again")]
