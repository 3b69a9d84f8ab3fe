"""Actors: who caused an event. ``human:alice``, ``agent:<id>``, ``system:engine``.

People appear in two forms:

- **Who acted** is an `Actor`: the actor of a fact, and the state fields that copy it, whose names end in
  ``_by`` (`created_by`, `requested_by`, `reviewed_by`, `queued_by`, ...). It may be a human, an agent or AURA itself,
  and the kind matters. An observer, who only reads, is the actor of what is refused alone.
- **Who is asked or notified** is a plain name, ``alice``: `reviewers`, `delegate`, `escalate_to`, the
  holders of seats, the voters. These are always humans.
"""

from typing import Literal, NewType, get_args

from aura_contracts.errors import InvalidInput

Actor = NewType("Actor", str)
"""``kind:name``. Build one with `human`, `agent`, `system` or `parse_actor`."""

ActorKind = Literal["human", "agent", "observer", "system"]

_KINDS = frozenset(get_args(ActorKind))


def human(name: str) -> Actor:
    """Return the actor for a person, identified by a login or an e-mail address."""
    return parse_actor(f"human:{name}")


def agent(agent_id: str) -> Actor:
    """Return the actor for an agent of the pool."""
    return parse_actor(f"agent:{agent_id}")


def observer(name: str) -> Actor:
    """Return the actor for a person who may read everything, and change nothing."""
    return parse_actor(f"observer:{name}")


def system(part: str) -> Actor:
    """Return the actor for a part of AURA, such as ``engine``, ``policy`` or ``worker``."""
    return parse_actor(f"system:{part}")


def parse_actor(text: str) -> Actor:
    """Parse an actor. Raises `InvalidInput` unless `text` is a kind (human, agent, observer, system) and a name."""
    kind, separator, name = text.partition(":")
    if kind not in _KINDS or not separator or not name.strip():
        raise InvalidInput(
            field="actor",
            reason=f"{text!r} is not an actor",
            remedy="write it as human:NAME, agent:ID, observer:NAME or system:PART",
        )
    return Actor(text)


def is_person(name: object) -> bool:
    """Whether `name` can be the name of a person: printable, without blanks around it, and without a colon.

    A colon would make it an actor of another kind, such as ``agent:ID``.
    """
    return isinstance(name, str) and bool(name) and name == name.strip() and name.isprintable() and ":" not in name


def not_a_person(name: object) -> tuple[str, str]:
    """Return the reason and the remedy of a refusal of a name for which `is_person` is false."""
    remedy = "give a login name or an e-mail address, without a colon and without blanks around it"
    return f"{ascii(name)[:80]} is not the name of a person", remedy


ENGINE = system("engine")
"""The engine, acting on its own."""

WORKER = system("worker")
"""The worker, for its reports."""


def actor_kind(actor: Actor) -> ActorKind:
    """Return the kind of `actor`."""
    kind: ActorKind = actor.partition(":")[0]  # type: ignore[assignment]  # parse_actor checked it
    return kind


def actor_name(actor: Actor) -> str:
    """Return the name after the kind: a login, an agent id or a part of the system."""
    return actor.partition(":")[2]
