"""States are plain data: for programs, for files, for JSON, for pydantic."""

import json
import pickle
import re
import typing

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.actors import Actor
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import InvalidInput
from strategies import structs

STATES = [aggregate.state for aggregate in AGGREGATES]

every_state = pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)


def some(kind):
    """Values of a state, without the numbers that JSON does not have: decisions refuse them."""
    return structs(kind).filter(lambda state: not re.search(r"\b(inf|nan)\b", repr(state)))


@every_state
@settings(max_examples=20)
@given(data=st.data())
def test_a_state_comes_back_from_a_pickle_and_from_json(kind, data):
    state = data.draw(some(kind))
    assert pickle.loads(pickle.dumps(state)) == state
    again = kind.from_dict(json.loads(json.dumps(state.as_dict())))
    assert again.as_dict() == state.as_dict()


@every_state
@settings(max_examples=10)
@given(data=st.data())
def test_a_state_is_a_field_of_a_pydantic_model(kind, data):
    state = data.draw(some(kind))
    model = pydantic.create_model("Model", state=(kind, ...))
    held = model(state=state)
    assert held.state is state
    assert held.model_dump()["state"] == state.as_dict()
    assert model(state=state.as_dict()).state.as_dict() == state.as_dict()
    assert model.model_json_schema()["properties"]["state"]


@every_state
def test_id_and_status_come_first_and_are_narrowed(kind):
    hints = typing.get_type_hints(kind)
    aggregate = next(one for one in AGGREGATES if one.state is kind)
    assert hints["status"] is aggregate.statuses
    assert "id" in hints


@every_state
def test_what_is_no_state_is_refused(kind):
    with pytest.raises(InvalidInput):
        kind.from_dict({"id": 7})


@every_state
def test_who_did_something_is_an_actor_and_people_are_plain_names(kind):
    """See `aura_contracts.actors`."""
    hints = typing.get_type_hints(kind)
    by = {name: hint for name, hint in hints.items() if name.endswith("_by") and name != "blocked_by"}
    assert all(hint in (Actor, Actor | None) for hint in by.values()), by
    people = {name: hint for name, hint in hints.items() if name in ("reviewers", "escalate_to", "escalated_to")}
    assert all(hint == tuple[str, ...] for hint in people.values())
