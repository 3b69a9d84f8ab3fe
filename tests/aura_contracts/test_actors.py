"""Actors: how they are written, told apart and refused."""

import pytest
from hypothesis import given

from aura_contracts.actors import actor_kind, actor_name, agent, human, parse_actor, system
from aura_contracts.errors import InvalidInput
from strategies import actors


@pytest.mark.parametrize(
    ("actor", "text", "kind", "name"),
    [
        (human("alice"), "human:alice", "human", "alice"),
        (human("alice@example.org"), "human:alice@example.org", "human", "alice@example.org"),
        (human("domain:alice"), "human:domain:alice", "human", "domain:alice"),
        (agent("0192f0c1-2d3e-7abc-8def-0123456789ab"), None, "agent", "0192f0c1-2d3e-7abc-8def-0123456789ab"),
        (system("engine"), "system:engine", "system", "engine"),
    ],
)
def test_an_actor_is_a_kind_and_a_name(actor, text, kind, name):
    assert actor == (text or f"{kind}:{name}")
    assert (actor_kind(actor), actor_name(actor)) == (kind, name)


@given(actors())
def test_actors_are_read_as_they_are_written(actor):
    assert parse_actor(actor) == actor
    assert f"{actor_kind(actor)}:{actor_name(actor)}" == actor


@pytest.mark.parametrize(
    "text", ["", ":", "alice", "human", "human:", "human: ", ":alice", "Human:alice", " human:alice", "robot:r2d2"]
)
def test_anything_else_is_refused_with_a_remedy(text):
    with pytest.raises(InvalidInput, match="write it as human:NAME, agent:ID, observer:NAME or system:PART") as refusal:
        parse_actor(text)
    assert refusal.value.field == "actor"
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("make", [human, agent, system])
def test_an_actor_without_a_name_cannot_be_made(make):
    with pytest.raises(InvalidInput):
        make("")
