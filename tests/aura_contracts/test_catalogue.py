"""The event catalogue: one type per topic, a way up from every old version, labels."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.catalogue import AGGREGATES, CATALOGUE, EventCatalogue, label, split_label
from aura_contracts.events import Event
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
