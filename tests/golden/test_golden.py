"""Every version of every event that was ever released stays readable.

The files are written by `make.py`, once, and never changed.
"""

from pathlib import Path

import msgspec
import pytest

from aura_contracts.catalogue import CATALOGUE, split_label

FOLDER = Path(__file__).parent / "events"
FILES = sorted(FOLDER.glob("*.json"))

every_file = pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])


def upcast(topic: str, version: int, data: bytes):
    """Return the event that bytes of an old version are today."""
    event_type = CATALOGUE.types[topic]
    fields = msgspec.json.decode(data)
    for step in range(version, event_type.version):
        fields = CATALOGUE.upcasters[topic, step](fields)
    return msgspec.convert(fields, event_type)


@every_file
def test_it_is_read_as_its_type_and_written_as_the_same_bytes(path):
    topic, version = split_label(path.stem)
    assert topic in CATALOGUE.types, "topics are never changed and never removed"
    assert 1 <= version <= CATALOGUE.types[topic].version
    event_type = CATALOGUE.types[topic]
    assert type(upcast(topic, version, path.read_bytes())) is event_type
    if version == event_type.version:
        data = path.read_bytes().removesuffix(b"\n")
        assert msgspec.json.encode(msgspec.json.decode(data, type=event_type)) == data


def test_every_version_of_every_event_has_a_file():
    expected = {f"{topic}@{n}" for topic, event in CATALOGUE.types.items() for n in range(1, event.version + 1)}
    assert {path.stem for path in FILES} == expected, "run: python tests/golden/make.py"
