"""Actors: who did it, on every event. ``human:alice``, ``agent:<id>``, ``system:engine``.

One form for each purpose, everywhere:

- **Who did something** is an `Actor`: the actor of a fact, and the fields of states that repeat it, which end in
  ``_by`` (`created_by`, `requested_by`, `reviewed_by`, `queued_by`, ...). It may be a human, an agent or AURA itself,
  and the kind matters.
- **People who are asked, named or written to** are plain names, ``alice``: `reviewers`, `delegate`, `escalate_to`, the
  holders of seats, votes. They are humans by definition.
"""

from typing import Literal, NewType, get_args

from aura_contracts.errors import InvalidInput

Actor = NewType("Actor", str)
"""``kind:name``; made by `human`, `agent`, `system` or `parse_actor`."""

ActorKind = Literal["human", "agent", "system"]


def human(name: str) -> Actor:
    """A person, by the name they are known by (login, e-mail address)."""
    return parse_actor(f"human:{name}")


def agent(agent_id: str) -> Actor:
    """An agent of the pool, by its id."""
    return parse_actor(f"agent:{agent_id}")


def system(part: str) -> Actor:
    """A part of AURA itself, such as ``engine``, ``policy`` or ``worker``."""
    return parse_actor(f"system:{part}")


def parse_actor(text: str) -> Actor:
    """Return `text` as an actor; raises `InvalidInput` unless it is ``human:``, ``agent:`` or ``system:`` plus name."""
    kind, separator, name = text.partition(":")
    if kind not in get_args(ActorKind) or not separator or not name.strip():
        raise InvalidInput(
            field="actor",
            reason=f"{text!r} is not an actor",
            remedy="write it as human:NAME, agent:ID or system:PART",
        )
    return Actor(text)


ENGINE = system("engine")
"""The engine, for what no human and no agent asked for."""

WORKER = system("worker")
"""The worker, for what it reports."""


def actor_kind(actor: Actor) -> ActorKind:
    """Return whether `actor` is a human, an agent or the system."""
    kind: ActorKind = actor.partition(":")[0]  # type: ignore[assignment]  # parse_actor let it through
    return kind


def actor_name(actor: Actor) -> str:
    """Return the name behind the kind: a login, an agent id, a part of the system."""
    return actor.partition(":")[2]
