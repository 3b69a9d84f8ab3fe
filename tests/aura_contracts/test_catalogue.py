"""The event catalogue: one type per topic, a way up from every old version, labels."""

import subprocess
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.catalogue import AGGREGATES, CATALOGUE, EventCatalogue, label, split_label
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Event, EventRecord
from aura_contracts.task import TaskCreated


class LampLit(Event, frozen=True, kw_only=True):
    topic = "lamp.lit"
    watts: int


class LampLitAgain(Event, frozen=True, kw_only=True):
    topic = "lamp.lit"


class LampDimmed(Event, frozen=True, kw_only=True):
    topic = "lamp.dimmed"
    version = 3
    share: float


def test_every_event_of_every_aggregate_is_in_it():
    assert set(CATALOGUE.types.values()) == {event for aggregate in AGGREGATES for event in aggregate.events}


def test_every_type_is_found_by_its_topic():
    assert all(event_type.topic == topic for topic, event_type in CATALOGUE.types.items())


def test_the_names_of_aggregates_are_unique():
    assert len({aggregate.name for aggregate in AGGREGATES}) == len(AGGREGATES)


def test_two_types_cannot_share_a_topic():
    with pytest.raises(TypeError, match=r"two event types share the topic 'lamp.lit'"):
        EventCatalogue({}).extended([LampLit, LampLitAgain])


def test_naming_a_type_twice_changes_nothing():
    assert EventCatalogue({}).extended([LampLit, LampLit]).types == {"lamp.lit": LampLit}


@pytest.mark.parametrize(("known", "missing"), [((), 1), ((1,), 2), ((2,), 1)])
def test_every_old_version_needs_a_way_up(known, missing):
    with pytest.raises(TypeError, match=rf"no upcaster for lamp.dimmed@{missing}"):
        EventCatalogue({}).extended([LampDimmed], {("lamp.dimmed", version): dict for version in known})


def test_with_all_ways_up_it_is_accepted():
    ways = {("lamp.dimmed", 1): dict, ("lamp.dimmed", 2): dict}
    assert EventCatalogue({}).extended([LampDimmed], ways).upcasters == ways


def test_extending_makes_a_larger_one_and_leaves_the_first_alone():
    larger = CATALOGUE.extended([LampLit])
    assert larger.types == {**CATALOGUE.types, "lamp.lit": LampLit}
    assert "lamp.lit" not in CATALOGUE.types


def test_it_is_immutable():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        CATALOGUE.types = {}


def test_a_label_is_topic_and_version():
    assert (label(TaskCreated), label(LampDimmed)) == ("task.created@1", "lamp.dimmed@3")


def test_labels_are_read_as_they_are_written():
    for event_type in (*CATALOGUE.types.values(), LampDimmed):
        assert split_label(label(event_type)) == (event_type.topic, event_type.version)


@pytest.mark.parametrize("text", ["task.created", "task.created@", "task.created@x", "task.created@-1"])
def test_a_label_without_a_version_is_version_0(text):
    assert split_label(text) == ("task.created", 0)


@given(st.text())
def test_any_text_can_be_split(text):
    topic, version = split_label(text)
    assert text.startswith(topic)
    assert version >= 0


# --- Events from dictionaries -----------------------------------------------------------------------------------------

RECORD = {
    "position": 1,
    "stream_id": "s",
    "version": 1,
    "time": "2026-01-04T10:00:00Z",
    "actor": "human:alice",
    "correlation_id": "c",
    "causation_id": "d",
}


@pytest.mark.deep
@pytest.mark.parametrize("home", ["aura_contracts", "aura_engine"])
@pytest.mark.parametrize("event_type", [event for aggregate in AGGREGATES for event in aggregate.events][::20])
def test_a_program_that_imports_nothing_else_reads_every_event_type(home, event_type):
    """In a process of its own: in this one all types were imported."""
    event = {"topic": event_type.topic}
    code = f"from {home} import Event, EventRecord; from aura_contracts import InvalidInput\n"
    for kind, fields in (("Event", event), ("EventRecord", {**RECORD, "event": event})):
        code += f"try: {kind}.from_dict({fields!r})\nexcept InvalidInput as refused: print(refused.reason)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is not a type of event" not in done.stdout


def test_events_of_a_program_are_read_from_dictionaries():
    class PaintDried(Event, frozen=True, kw_only=True):
        """Paint dried."""

        topic = "paint.dried"
        hours: int

    dried = PaintDried(hours=3)
    assert Event.from_dict(dried.as_dict()) == dried
    record = EventRecord.from_dict({**RECORD, "event": dried.as_dict()})
    assert record.event == dried


@pytest.mark.parametrize("topic", [None, 7, ["task.created"], "paint.wet"])
def test_a_dictionary_of_no_event_type_is_refused(topic):
    with pytest.raises(InvalidInput, match="is not a type of event"):
        Event.from_dict({"topic": topic})
